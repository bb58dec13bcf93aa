using System.Runtime.InteropServices;
using System.Text;
using Equip.Kernels.Interop;
using Equip.Tests.Fixtures;

namespace Equip.Tests.Abi;

/// <summary>
/// One open handle of every kind, random memory, and a valid call of every export. Each pointer has a block of its own; the cache
/// (2 layers of 4 query and 2 KV heads of 16, H2O with a budget of 8) holds 8 tokens.
/// </summary>
internal sealed unsafe class AbiWorld : IDisposable
{
    public const int Heads = 4, KvHeads = 2, HeadDim = 16, Tokens = 12, Layers = 2;

    private const int BlockBytes = 16384;

    private readonly List<nint> _blocks = [];
    private int _seed;

    public AbiWorld()
    {
        Context = Made(made => Abi.Call("equip_context_create", 0, made));
        Rope = Made(made => Abi.Call("equip_rope_create", Struct(RopeOptions), made));
        Policy = Made(made => Abi.Call("equip_policy_create", Text("h2o"), Struct(PolicyOptions), made));
        Cache = Made(made => Abi.Call("equip_cache_create", Struct(CacheOptions), Rope, Policy, made));
        for (int position = 0; position < 8; position++)
            for (int layer = 0; layer < Layers; layer++) Abi.Ok("equip_cache_write", Context, Cache, layer, position, 0, Floats(), Floats());
        Abi.Ok("equip_cache_snapshot_size", Cache, Snapshot = Zeros());
        SnapshotBytes = *(long*)Snapshot;
        Abi.Ok("equip_cache_snapshot", Cache, Snapshot, BlockBytes);
    }

    public nint Context { get; }

    public nint Rope { get; }

    public nint Policy { get; }

    public nint Cache { get; }

    /// <summary>The cache as it was made.</summary>
    public nint Snapshot { get; }

    public long SnapshotBytes { get; }

    public static EquipRopeOptions RopeOptions => new() { StructSize = Size<EquipRopeOptions>(), HeadDim = HeadDim, Theta = 10000, Factor = 1 };

    public static EquipPolicyOptions PolicyOptions => new() { StructSize = Size<EquipPolicyOptions>(), BudgetTokens = 8 };

    public static EquipCacheOptions CacheOptions => new() { StructSize = Size<EquipCacheOptions>(), Layers = Layers, Heads = Heads, KvHeads = KvHeads, HeadDim = HeadDim };

    public static EquipAttentionShape Shape => new() { StructSize = Size<EquipAttentionShape>(), Heads = Heads, KvHeads = KvHeads, HeadDim = HeadDim };

    public EquipMatrix Matrix => new() { StructSize = Size<EquipMatrix>(), Rows = 8, Columns = 32, Data = (void*)Floats() };

    public EquipPrefillKeys Keys => new() { StructSize = Size<EquipPrefillKeys>(), Past = Tokens - 4, HeadStride = Tokens, Keys = (void*)Floats(), Values = (void*)Floats() };

    public EquipPrompt Prompt => new() { StructSize = Size<EquipPrompt>(), Tokens = Tokens, QueryTokens = Tokens, Keys = (void*)Floats(), Values = (void*)Floats(), Queries = (float*)Floats() };

    /// <summary>Arguments with which an export succeeds. Handles that a call would close or fill are made anew.</summary>
    public nint[] Valid(string function) => function switch
    {
        "equip_context_create" => [Struct(new EquipContextOptions { StructSize = Size<EquipContextOptions>(), Threads = 1 }), Zeros()],
        "equip_context_query" => [Context, Zeros(), Zeros()],
        "equip_rope_options_init" => [Zeros(), (nint)Size<EquipRopeOptions>()],
        "equip_rope_create" => [Struct(RopeOptions), Zeros()],
        "equip_rope_pairs" => [Rope, Zeros()],
        "equip_rope_fill" => [Rope, Ints(7, 1000000, -3), 3, Zeros(), Zeros()],
        "equip_rope_fill_delta" => [Rope, -5, Zeros(), Zeros()],
        "equip_rope_rotate" => [Context, Rope, Floats(), Zeros(), Floats(), Floats(), 3, Heads],
        "equip_rope_rotate_stored" => [Context, Rope, Floats(), 0, 5, Floats(), Floats()],
        "equip_kv_scatter" => [Context, Floats(), Ints(9, 0), KvHeads, HeadDim, Zeros(), 0, 10],
        "equip_kv_compact" => [Floats(), 0, HeadDim, 10, Ints(1, 2, 5, 9), 4],
        "equip_attention_decode" => [Context, Struct(Shape), Runs(), 2, Ints(0, 1, 2), KvHeads, Zeros()],
        "equip_attention_prefill" => [Context, Struct(Shape), Struct(Keys), Floats(), Floats(), 4, Zeros()],
        "equip_gemv" => [Context, Struct(Matrix), Floats(), Floats(), 0, Zeros()],
        "equip_gemm" => [Context, Struct(Matrix), Floats(), 20, Floats(), 1, Zeros()],
        "equip_gemv_rows" => [Context, Struct(Matrix), Ints(7, 0, 7), 3, Floats(), Zeros()],
        "equip_quantize_q8" => [Context, Struct(Matrix), Struct(Matrix with { Type = 3, Scales = (void*)Zeros() })],
        "equip_score_window" => [Context, Struct(Shape), Struct(Keys), Floats(), 4, Zeros()],
        "equip_score_column_sums" => [Context, Struct(Shape), Struct(Keys), Floats(), 4, Zeros()],
        "equip_score_pool" => [Context, 1, Floats(), 100, 7, Zeros()],
        "equip_top_k" => [Floats(), 100, 1, Zeros(), 10],
        "equip_policy_options_init" => [Zeros(), (nint)Size<EquipPolicyOptions>()],
        "equip_policy_create" => [Text("streaming"), Struct(PolicyOptions), Zeros()],
        "equip_policy_query" => [Policy, Struct(new EquipPolicyInfo { StructSize = Size<EquipPolicyInfo>() })],
        "equip_policy_choose" => [Policy, Cache, 1, 8, Zeros()],
        "equip_policy_observe" => [Policy, Cache, 0, 8, Zeros(), 9],
        "equip_policy_prefill" => [Context, Policy, EmptyCache(), 1, Struct(Prompt)],
        "equip_policy_keep" => [Context, Policy, Struct(Shape), Rope, 1, Layers, Struct(Prompt), Zeros(), Zeros()],
        "equip_cache_create" => [Struct(CacheOptions), Rope, Policy, Zeros()],
        "equip_cache_write" => [Context, Cache, 0, 7, Ints(3, 7), Floats(), Floats()],
        "equip_cache_replace" => [Context, Cache, 1, 7, Ints(0, 5), Floats(), Floats()],
        "equip_cache_attend" => [Context, Cache, 0, 7, Floats(), Zeros(), Zeros(), 9],
        "equip_cache_compact" => [Cache, 0, 1, Ints(0, 1, 2, 3, 5, 7), 6],
        "equip_cache_clear" => [EmptyCache()],
        "equip_cache_bytes" => [Cache, Zeros()],
        "equip_cache_positions" => [Cache, 1, 1, Zeros(), 9, Zeros(), Zeros()],
        "equip_cache_read" => [Cache, 0, 1, 7, Zeros(), Zeros()],
        "equip_cache_snapshot_size" => [Cache, Zeros()],
        "equip_cache_snapshot" => [Cache, Zeros(), BlockBytes],
        "equip_cache_restore" => [Cache, Snapshot, (nint)SnapshotBytes],
        "equip_context_destroy" => [Made(made => Abi.Call("equip_context_create", 0, made))],
        "equip_rope_destroy" => [Made(made => Abi.Call("equip_rope_create", Struct(RopeOptions), made))],
        "equip_policy_destroy" => [Made(made => Abi.Call("equip_policy_create", Text("full"), Struct(PolicyOptions), made))],
        "equip_cache_destroy" => [EmptyCache()],
        _ => throw new ArgumentOutOfRangeException(nameof(function), function, "no valid call: add one"),
    };

    /// <summary>Puts the cache back.</summary>
    public void Restore() => Abi.Ok("equip_cache_restore", Cache, Snapshot, (nint)SnapshotBytes);

    /// <summary>A block of zeros.</summary>
    public nint Zeros()
    {
        nint block = (nint)NativeMemory.AlignedAlloc(BlockBytes, 64);
        NativeMemory.Clear((void*)block, BlockBytes);
        _blocks.Add(block);
        return block;
    }

    /// <summary>A block of random numbers.</summary>
    public nint Floats()
    {
        nint block = Zeros();
        TestData.Random(BlockBytes / sizeof(float), ++_seed).CopyTo(new Span<float>((void*)block, BlockBytes / sizeof(float)));
        return block;
    }

    public nint Ints(params ReadOnlySpan<int> values)
    {
        nint block = Zeros();
        values.CopyTo(new Span<int>((void*)block, values.Length));
        return block;
    }

    public nint Text(string text)
    {
        nint block = Zeros();
        Encoding.UTF8.GetBytes(text, new Span<byte>((void*)block, BlockBytes));
        return block;
    }

    public nint Struct<T>(T value)
        where T : unmanaged
    {
        nint block = Zeros();
        *(T*)block = value;
        return block;
    }

    public static uint Size<T>()
        where T : unmanaged => (uint)sizeof(T);

    public nint Made(Func<nint, EquipStatus> create)
    {
        nint made = Zeros();
        Assert.That(create(made), Is.EqualTo(EquipStatus.Ok), Abi.LastError);
        return *(nint*)made;
    }

    public void Dispose()
    {
        Abi.Ok("equip_cache_destroy", Cache);
        Abi.Ok("equip_policy_destroy", Policy);
        Abi.Ok("equip_rope_destroy", Rope);
        Abi.Ok("equip_context_destroy", Context);
        foreach (nint block in _blocks) NativeMemory.AlignedFree((void*)block);
    }

    private nint EmptyCache() => Made(made => Abi.Call("equip_cache_create", Struct(CacheOptions), Rope, Policy, made));

    /// <summary>Two runs with column weights.</summary>
    private nint Runs()
    {
        nint block = Zeros();
        EquipAttentionRun* runs = (EquipAttentionRun*)block;
        for (int i = 0; i < 2; i++) runs[i] = new EquipAttentionRun { Keys = (void*)Floats(), Values = (void*)Floats(), Queries = (float*)Floats(), ColumnWeights = (float*)Zeros(), Tokens = 5 + i };
        return block;
    }
}
