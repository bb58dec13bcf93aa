using Equip.Kernels.Attention;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Eviction;
using Equip.Kernels.KvCache;
using Equip.Kernels.Numerics;
using Equip.Kernels.Rope;
using Equip.Tests.Fixtures;
using Equip.Tests.Reference;

namespace Equip.Tests.KvCache;

/// <summary>Stored 16-bit keys after 10,000 steps, against keys rotated once, in double.</summary>
internal sealed unsafe class SixteenBitDriftTests
{
    private const int Steps = 10_000, HeadDim = 64, Sinks = 4, Window = 1024, Holes = 256;

    private static readonly float[] _keys = TestData.Random(Steps * HeadDim);
    private static readonly RopeTable _rope = new(new RopeOptions { HeadDim = HeadDim });

    [Test]
    public void InPlace_TenThousandSteps_IsOneRoundingOff(
        [Values(DataType.F16, DataType.BF16)] DataType type,
        [Values("streaming", "random")] string policy,
        [Values] PositionScheme positions)
    {
        bool window = policy == "streaming";
        if (!window && positions is PositionScheme.CacheTwoQuery or PositionScheme.CacheRerotateSinks) Assert.Ignore("for a sliding window only");

        // Numbers too small for binary16's normal range err by a fixed amount instead, hence the slack.
        double once = type == DataType.F16 ? 1.0 / (1 << 11) : 1.0 / (1 << 8);
        Assert.That(Run(CacheUpdate.InPlace, positions, policy, type, Holes), Is.InRange(once / 20, once * 1.001));
    }

    [Test]
    public void RotatedAgainAndAgain_TenThousandSteps_Drifts(
        [Values(DataType.F16, DataType.BF16)] DataType type,
        [Values(CacheUpdate.Memmove, CacheUpdate.FusedShift, CacheUpdate.RingRotate)] CacheUpdate update)
        => Assert.That(Run(update, PositionScheme.Cache, "streaming", type, Window), Is.GreaterThan(type == DataType.F16 ? 0.02 : 0.2), "the window's oldest keys were rotated a thousand times");

    /// <summary>The largest distance of a live key from a freshly rotated one, relative to its norm.</summary>
    private static double Run(CacheUpdate update, PositionScheme positions, string policyName, DataType type, int budget)
    {
        KernelContext context = Contexts.For(IsaRegistry.Resolve(Isa.Auto));
        using PagePool pool = new(budget, HeadDim, type);
        using HeadCache head = new(pool);
        HeadCache[] heads = [head];
        IEvictionPolicy policy = EvictionPolicies.Create(policyName, new PolicyOptions { BudgetTokens = budget, SinkTokens = Sinks });
        CacheStrategy strategy = CacheStrategies.Create(update, positions, new CacheStrategyOptions
        {
            SinkTokens = Sinks,
            CapacityTokens = budget,
            SlidingWindow = policyName == "streaming",
            Rope = _rope,
            KeyAngles = new RankAngles(_rope),
            Shape = new AttentionShape(1, 1, HeadDim, type),
        });
        float[] rotated = new float[HeadDim], cos = new float[HeadDim / 2], sin = new float[HeadDim / 2];
        int[] slots = new int[1];
        for (int position = 0; position < Steps; position++)
        {
            ReadOnlySpan<float> key = _keys.AsSpan(position * HeadDim, HeadDim);
            _rope.Fill([strategy.KeyRotation(position)], cos, sin);
            if (strategy.StoresUnrotatedKeys) key.CopyTo(rotated);
            else RopeRotation.Rotate(context, _rope, key, rotated, cos, sin, 1, 1);
            policy.ChooseSlots(heads, position, slots);
            strategy.Insert(context, heads, slots, rotated, key, position);
        }

        double worst = 0;
        for (int slot = 0; slot < budget; slot++) worst = Math.Max(worst, Error(head, slot, type, strategy, update == CacheUpdate.InPlace));
        return worst;
    }

    private static double Error(HeadCache head, int slot, DataType type, CacheStrategy strategy, bool fromOriginals)
    {
        float[] stored = new float[HeadDim], start = new float[HeadDim], cos = new float[HeadDim / 2], sin = new float[HeadDim / 2];
        Conversion.Widen(Isa.Scalar, head.Key(slot), type, stored);
        int position = head.Positions[slot], rotation = strategy.StoresUnrotatedKeys ? 0 : head.Rotations[slot];
        if (fromOriginals && rotation != position && !strategy.StoresUnrotatedKeys)
        {
            // A key that was rotated again started from a copy of the key as first written.
            Conversion.Widen(Isa.Scalar, head.OriginalKey(slot, head.Capacity), type, start);
            rotation -= position;
        }
        else
        {
            _keys.AsSpan(position * HeadDim, HeadDim).CopyTo(start);
        }

        _rope.FillDelta(rotation, cos, sin);
        double[] exact = ReferenceRope.Rotate(start, cos, sin, RopeLayout.HalfSplit);
        double distance = Math.Sqrt(exact.Select((x, i) => Math.Pow(x - stored[i], 2)).Sum());
        return distance / Math.Sqrt(exact.Sum(x => x * x));
    }
}
