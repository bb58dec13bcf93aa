namespace Equip.Kernels.Numerics;

/// <summary>A stored element type, read and written as float32 lanes.</summary>
internal unsafe interface IElement
{
    static abstract int Size { get; }

    static abstract TFloats Load<TLanes, TFloats, TWords>(byte* source)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct;

    static abstract void Store<TLanes, TFloats, TWords>(TFloats value, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct;

    /// <summary>Even and odd elements of two vectors' worth.</summary>
    static abstract void LoadPairs<TLanes, TFloats, TWords>(byte* source, out TFloats even, out TFloats odd)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct;

    static abstract void StorePairs<TLanes, TFloats, TWords>(TFloats even, TFloats odd, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct;
}

/// <summary><see cref="DataType.F32"/>.</summary>
internal readonly unsafe struct ElementF32 : IElement
{
    public static int Size => 4;

    public static TFloats Load<TLanes, TFloats, TWords>(byte* source)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.Load((float*)source);

    public static void Store<TLanes, TFloats, TWords>(TFloats value, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.Store(value, (float*)destination);

    public static void LoadPairs<TLanes, TFloats, TWords>(byte* source, out TFloats even, out TFloats odd)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.LoadPairs((float*)source, out even, out odd);

    public static void StorePairs<TLanes, TFloats, TWords>(TFloats even, TFloats odd, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.StorePairs(even, odd, (float*)destination);
}

/// <summary><see cref="DataType.F16"/>.</summary>
internal readonly unsafe struct ElementF16 : IElement
{
    public static int Size => 2;

    public static TFloats Load<TLanes, TFloats, TWords>(byte* source)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.WidenF16(TLanes.LoadHalfwords((ushort*)source));

    public static void Store<TLanes, TFloats, TWords>(TFloats value, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.StoreHalfwords(TLanes.NarrowF16(value), (ushort*)destination);

    public static void LoadPairs<TLanes, TFloats, TWords>(byte* source, out TFloats even, out TFloats odd)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        TLanes.LoadHalfwordPairs((ushort*)source, out TWords low, out TWords high);
        even = TLanes.WidenF16(low);
        odd = TLanes.WidenF16(high);
    }

    public static void StorePairs<TLanes, TFloats, TWords>(TFloats even, TFloats odd, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.StoreHalfwordPairs(TLanes.NarrowF16(even), TLanes.NarrowF16(odd), (ushort*)destination);
}

/// <summary><see cref="DataType.BF16"/>.</summary>
internal readonly unsafe struct ElementBF16 : IElement
{
    public static int Size => 2;

    public static TFloats Load<TLanes, TFloats, TWords>(byte* source)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.WidenBF16(TLanes.LoadHalfwords((ushort*)source));

    public static void Store<TLanes, TFloats, TWords>(TFloats value, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.StoreHalfwords(TLanes.NarrowBF16(value), (ushort*)destination);

    public static void LoadPairs<TLanes, TFloats, TWords>(byte* source, out TFloats even, out TFloats odd)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct
    {
        TLanes.LoadHalfwordPairs((ushort*)source, out TWords low, out TWords high);
        even = TLanes.WidenBF16(low);
        odd = TLanes.WidenBF16(high);
    }

    public static void StorePairs<TLanes, TFloats, TWords>(TFloats even, TFloats odd, byte* destination)
        where TLanes : struct, ILanes<TFloats, TWords>
        where TFloats : struct
        where TWords : struct => TLanes.StoreHalfwordPairs(TLanes.NarrowBF16(even), TLanes.NarrowBF16(odd), (ushort*)destination);
}
