namespace Equip.Kernels.Attention;

/// <summary>
/// Where a tile of lanes leaves the probabilities of its last keys, each block with the running maxima it was made with, so that
/// column sums need no second pass over K. Bounded, whatever the length of the prompt. The default keeps nothing.
/// </summary>
internal readonly unsafe struct KeptProbabilities
{
    // Floats of a worker: with the widest tiles 2048 keys.
    private const int Room = PrefillCall.LargestTile * 2048;

    private readonly float* _probabilities;
    private readonly float* _maximum;
    private readonly int _first;
    private readonly int _lanes;

    /// <summary>Room for as many of the keys before <paramref name="end"/> as there is, in whole key tiles.</summary>
    public KeptProbabilities(PrefillCall* call, int worker, int end)
    {
        _probabilities = (float*)(call->Kept + (worker * Bytes(*call)));
        _maximum = _probabilities + ((long)Keys(*call) * call->TileLanes);
        _first = Math.Max(0, Rounded(end) - Keys(*call));
        _lanes = call->TileLanes;
    }

    /// <summary>Scratch bytes of a worker.</summary>
    public static long Bytes(in PrefillCall call) => (long)(Keys(call) + (Keys(call) / PrefillCall.KeyTile)) * call.TileLanes * sizeof(float);

    /// <summary>Whether the key tile that starts at <paramref name="key"/> is kept.</summary>
    public bool Has(int key) => _probabilities != null && key >= _first;

    /// <summary><c>[KeyTile, Block]</c> of a key tile that is kept.</summary>
    public float* Block(int key, int lane) => _probabilities + (((Tile(key) * _lanes) + lane) * PrefillCall.KeyTile);

    /// <summary>The lanes' maxima when the key tile was attended.</summary>
    public float* Maximum(int key) => _maximum + (Tile(key) * _lanes);

    private long Tile(int key) => (key - _first) / PrefillCall.KeyTile;

    private static int Keys(in PrefillCall call) => Math.Min(Rounded(call.Rows), Room / call.TileLanes);

    private static int Rounded(int keys) => (keys + PrefillCall.KeyTile - 1) / PrefillCall.KeyTile * PrefillCall.KeyTile;
}
