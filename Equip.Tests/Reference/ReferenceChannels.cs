using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model;
using Equip.Model.Pruning;
using Equip.Model.Transformer;

namespace Equip.Tests.Reference;

/// <summary>Channel pruning as it is described, in double: everything is computed, then what is not kept is set to 0. Attach to <see cref="ReferenceModel.OnBlock"/>.</summary>
internal sealed class ReferenceChannels(LanguageModel model, ChannelOptions options)
{
    private readonly Dictionary<(int Layer, int Block), State> _states = [];
    private int _draw;

    /// <summary>Whether tokens are a prompt's, which are computed whole.</summary>
    public bool InPrompt { get; set; } = true;

    public void EndPrompt(ReadOnlySpan<int> tokens)
    {
        InPrompt = false;
        foreach (int token in tokens) _draw = unchecked((31 * _draw) + token);
        foreach (State state in _states.Values) state.Ready = true;
    }

    public void OnBlock(int layer, int block, ReferenceActivations activations)
    {
        if (!_states.TryGetValue((layer, block), out State? state))
            _states[(layer, block)] = state = new State(model.Weights.Layers[layer].Blocks.ElementAt(block));
        if (InPrompt || !state.Ready)
        {
            state.Tokens++;
            for (int k = 0; k < activations.Product.Length; k++)
            {
                state.Squares[k] += activations.Product[k] * activations.Product[k];
                state.UpSquares[k] += activations.Up[k] * activations.Up[k];
            }

            state.Ready |= !InPrompt;
            return;
        }

        HashSet<int> kept = [.. Keep(layer, block, state, activations)];
        for (int k = 0; k < activations.Product.Length; k++)
            if (!kept.Contains(k)) activations.Product[k] = 0;
    }

    private IEnumerable<int> Keep(int layer, int block, State state, ReferenceActivations now)
    {
        int n = now.Product.Length, kept = Round((1 - options.Ratio) * n);
        IEnumerable<int> all = Enumerable.Range(0, n);
        IEnumerable<int> Best(IEnumerable<int> channels, Func<int, double> score, int count) => channels.OrderByDescending(score).Take(count);
        double Now(int k) => state.DownNorms[k] * Math.Abs(now.Product[k]);
        switch (options.Method)
        {
            case ChannelMethod.Random:
                // Drawn after the prompt; without one, when the first token has been computed whole.
                Random random = new(unchecked((layer << 16) + block + _draw));
                float[] drawn = [.. all.Select(_ => random.NextSingle())];
                return Best(all, k => drawn[k], kept);
            case ChannelMethod.Oracle: return Best(all, Now, kept);
            case ChannelMethod.GateFirst:
                return Best(all, k => Math.Abs(now.Gate[k]) * state.DownNorms[k] * (options.Factor == ChannelFactor.Prompt ? Math.Sqrt(state.UpSquares[k] / state.Tokens) : state.UpNorms[k]), kept);
            default:
                double gamma = options.Method == ChannelMethod.Pop ? options.Gamma : 0;
                int[] order = [.. Best(all, k => state.DownNorms[k] * Math.Sqrt(state.Squares[k]), n)];
                int retained = Round((1 - options.Ratio - (gamma / 2)) * n);
                return order.Take(retained).Concat(Best(order.Skip(retained).Take(Round(gamma * n)), Now, kept - retained));
        }
    }

    private static int Round(double value) => (int)Math.Floor(value + 0.5);

    private sealed class State
    {
        public State(FeedForwardWeights block)
        {
            int n = block.Channels, hidden = block.Down.Rows;
            (Squares, UpSquares, DownNorms, UpNorms) = (new double[n], new double[n], new double[n], new double[n]);
            float[] down = Widen(block.Down), up = Widen(block.Up);
            for (int k = 0; k < n; k++)
            {
                for (int row = 0; row < hidden; row++) DownNorms[k] += Math.Abs(down[(row * n) + k]);
                UpNorms[k] = Math.Sqrt(Enumerable.Range(0, hidden).Sum(column => (double)up[(k * hidden) + column] * up[(k * hidden) + column]));
            }
        }

        public double[] Squares { get; }

        public double[] UpSquares { get; }

        public double[] DownNorms { get; }

        public double[] UpNorms { get; }

        public int Tokens { get; set; }

        public bool Ready { get; set; }

        private static unsafe float[] Widen(Kernels.Linear.WeightMatrix matrix)
        {
            float[] values = new float[matrix.Rows * matrix.Columns];
            Conversion.Widen(Isa.Scalar, matrix.Data, matrix.Type, values);
            return values;
        }
    }
}
