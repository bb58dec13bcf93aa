using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Equip.Kernels.Interop;

/// <summary>
/// The objects that callers hold. A handle is an index and a generation, never an address: one that was closed, invented or
/// meant for another kind of object is refused. An object in use by another thread is refused too, so that a caller's mistake
/// is a status and never a race. Entries are re-used, with the next generation. Inlined, so that the kind is one comparison: shared by all kinds,
/// the code would have to look it up.
/// </summary>
internal static class Handles
{
    private const int ChunkBits = 10, ChunkEntries = 1 << ChunkBits, MaxChunks = 1024;

    private static readonly Entry[]?[] _chunks = new Entry[MaxChunks][];
    private static readonly Stack<int> _free = new();
    private static readonly Lock _changes = new();
    private static int _count;

    /// <summary>Makes a handle for an object.</summary>
    public static nint Add(object target)
    {
        lock (_changes)
        {
            if (!_free.TryPop(out int index))
            {
                if (_count == MaxChunks * ChunkEntries) throw new InteropException(EquipStatus.OutOfMemory, $"handles: {_count} are open, expected no more");
                if (_count % ChunkEntries == 0) _chunks[_count >> ChunkBits] = new Entry[ChunkEntries];
                index = _count++;
            }

            ref Entry entry = ref _chunks[index >> ChunkBits]![index % ChunkEntries];
            entry.Generation = Math.Max(1, (entry.Generation + 1) & int.MaxValue);
            Volatile.Write(ref entry.Target, target);
            return (nint)(((long)entry.Generation << 32) | (uint)(index + 1));
        }
    }

    /// <summary>Takes an object for one call that changes it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lease<T> Take<T>(nint handle, string name)
        where T : class
    {
        ref Entry entry = ref Find<T>(handle, name);
        if (Interlocked.CompareExchange(ref entry.Users, Lease<T>.Exclusive, 0) != 0) ThrowBusy(name);
        return Checked<T>(ref entry, handle, name, exclusive: true);
    }

    /// <summary>Takes an object for one call that only reads it; several threads may.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lease<T> Share<T>(nint handle, string name)
        where T : class
    {
        ref Entry entry = ref Find<T>(handle, name);
        for (int users = Volatile.Read(ref entry.Users); ;)
        {
            if (users < 0) ThrowBusy(name);
            int seen = Interlocked.CompareExchange(ref entry.Users, users + 1, users);
            if (seen == users) break;
            users = seen;
        }

        return Checked<T>(ref entry, handle, name, exclusive: false);
    }

    /// <summary>
    /// An object that never changes and frees nothing when it is closed: what is held of it outlives its handle, so that nobody need be kept from
    /// closing it. If the generation is the handle's before and after, the object read in between is that generation's.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(nint handle, string name)
        where T : class
    {
        ref Entry entry = ref Find<T>(handle, name);
        object? target = Volatile.Read(ref entry.Target);
        if (target is not T || Volatile.Read(ref entry.Generation) != (int)(handle >> 32)) ThrowUnknown(name);
        return Unsafe.As<T>(target);
    }

    /// <summary>Closes a handle and frees its object; 0 is ignored, as free(NULL) is.</summary>
    public static void Close<T>(nint handle, string name)
        where T : class, IDisposable
    {
        if (handle == 0) return;
        ref Entry entry = ref Find<T>(handle, name);
        Lease<T> lease = Take<T>(handle, name);
        try
        {
            entry.Target = null;
            entry.Generation++;
            lease.Target.Dispose();
        }
        finally
        {
            // Given away before it is let go, the entry would be busy to whom it is given.
            lease.Dispose();
            lock (_changes) _free.Push((int)((uint)handle - 1));
        }
    }

    /// <summary>The entry, if it holds what the handle says; it may be closed until it is taken, so that <see cref="Checked{T}"/> looks again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ref Entry Find<T>(nint handle, string name)
        where T : class
    {
        uint index = (uint)handle - 1;
        Entry[]? chunk = index < MaxChunks * ChunkEntries ? Volatile.Read(ref _chunks[index >> ChunkBits]) : null;
        if (chunk is null) ThrowUnknown(name);
        ref Entry entry = ref chunk[index % ChunkEntries];
        if (entry.Generation != (int)(handle >> 32) || entry.Target is not T) ThrowUnknown(name);
        return ref entry;
    }

    /// <summary>A generation has one object, whose kind <see cref="Find{T}"/> saw, and does not end while it is taken.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lease<T> Checked<T>(ref Entry entry, nint handle, string name, bool exclusive)
        where T : class
    {
        if (entry.Generation == (int)(handle >> 32)) return new Lease<T>(Unsafe.As<T>(entry.Target!), ref entry.Users, exclusive);
        if (exclusive) Volatile.Write(ref entry.Users, 0);
        else Interlocked.Decrement(ref entry.Users);
        ThrowUnknown(name);
        return default;
    }

    [DoesNotReturn]
    private static void ThrowUnknown(string name) => throw new InteropException(EquipStatus.InvalidHandle, $"{name}: not an open handle of this kind");

    [DoesNotReturn]
    private static void ThrowBusy(string name) => throw new InteropException(EquipStatus.Busy, $"{name}: in use by another thread");

    private struct Entry
    {
        public object? Target;
        public int Generation;
        public int Users;
    }
}

/// <summary>An object in use by one call.</summary>
internal readonly ref struct Lease<T>
    where T : class
{
    public const int Exclusive = -1;

    private readonly ref int _users;
    private readonly bool _exclusive;

    public Lease(T target, ref int users, bool exclusive)
    {
        Target = target;
        _users = ref users;
        _exclusive = exclusive;
    }

    /// <summary>The object; null in a default lease, which stands for an optional handle that was not given.</summary>
    public T Target { get; }

    public void Dispose()
    {
        if (Target is null) return;
        if (_exclusive) Volatile.Write(ref _users, 0);
        else Interlocked.Decrement(ref _users);
    }
}
