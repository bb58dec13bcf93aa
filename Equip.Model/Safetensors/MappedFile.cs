using System.IO.MemoryMappedFiles;
using Equip.Model.Config;

namespace Equip.Model.Safetensors;

/// <summary>A file as read-only memory.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _data;

    private MappedFile(string path, MemoryMappedFile file, long length)
    {
        Path = path;
        Length = length;
        _file = file;
        _view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _data);
        _data += _view.PointerOffset;
    }

    public string Path { get; }

    public byte* Data => _data;

    public long Length { get; }

    /// <summary>Maps a file, which may not be empty.</summary>
    public static MappedFile Open(string path)
    {
        try
        {
            FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            try
            {
                long length = stream.Length;
                if (length == 0) throw new ModelFormatException(path, "length", "the file is empty");
                return new MappedFile(path, MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false), length);
            }
            catch
            {
                stream.Dispose();
                throw;
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw JsonFile.Unreadable(path, failure);
        }
    }

    public void Dispose()
    {
        if (_data == null) return;
        _data = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
