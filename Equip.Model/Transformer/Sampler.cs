using Equip.Model.Config;

namespace Equip.Model.Transformer;

/// <summary>Chooses the next token from logits. Deterministic for a seed.</summary>
public sealed class Sampler
{
    /// <summary>Makes a sampler; temperature 0 is greedy.</summary>
    /// <exception cref="ArgumentException">A parameter is out of its range.</exception>
    public Sampler(float temperature = 0, int topK = 0, float topP = 1, ulong seed = 0) => throw new NotImplementedException();

    /// <summary>The next token. Ties go to the lower id; NaN logits are never chosen.</summary>
    public int Sample(ReadOnlySpan<float> logits) => throw new NotImplementedException();
}
