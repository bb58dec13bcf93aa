using System.Text;
using Equip.Kernels.Memory;

namespace Equip.Kernels.Interop;

/// <summary>The text of the calling thread's last failure, in native memory that lives as long as the thread is known.</summary>
internal static unsafe class LastError
{
    private const int Size = 1024;

    // A finalizer frees the buffer of a thread that is gone.
    [ThreadStatic]
    private static NativeBuffer? _text;

    /// <summary>The text, UTF-8 with a final zero; empty if nothing failed yet. Valid until the thread's next failure.</summary>
    public static byte* Text => (byte*)(_text ??= new NativeBuffer(Size, zeroed: true)).Pointer;

    /// <summary>Keeps the text and gives the status of a failure. Never throws: nothing may cross into the caller.</summary>
    public static EquipStatus Record(Exception failure)
    {
        EquipStatus status = Status(failure);
        try
        {
            Span<byte> text = new(Text, Size);
            Encoding.UTF8.GetEncoder().Convert(Message(failure), text[..^1], flush: true, out _, out int used, out _);
            text[used] = 0;
        }
        catch (Exception)
        {
            return status;
        }

        return status;
    }

    private static EquipStatus Status(Exception failure) => failure switch
    {
        InteropException known => known.Status,
        OutOfMemoryException => EquipStatus.OutOfMemory,
        ObjectDisposedException => EquipStatus.InvalidHandle,
        InvalidOperationException => EquipStatus.InvalidState,
        NotSupportedException => EquipStatus.Unsupported,
        ArgumentException or ArithmeticException => EquipStatus.InvalidArgument,
        _ => EquipStatus.Internal,
    };

    /// <summary>The message as it was written, without what .NET appends to it on lines or in brackets of its own.</summary>
    private static string Message(Exception failure)
    {
        string message = failure.Message;
        if (failure is not ArgumentException) return message;
        int end = message.IndexOf(" (Parameter '", StringComparison.Ordinal);
        return end < 0 ? message : message[..end];
    }
}
