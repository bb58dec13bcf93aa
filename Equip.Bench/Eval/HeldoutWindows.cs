using Equip.Bench.CommandLine;
using Equip.Model;

namespace Equip.Bench.Eval;

/// <summary>
/// A text as windows that do not overlap: encoded without special tokens, cut every so many tokens, the last partial window
/// dropped, each window preceded by bos, so that every token of a window is scored. (A model without bos has a window's
/// first token unscored.)
/// </summary>
internal sealed class HeldoutWindows
{
    /// <summary>Tokens of a window that fill, with bos, the default model's context.</summary>
    public const int DefaultTokens = 2047;

    private HeldoutWindows(IReadOnlyList<int[]> sequences) => Sequences = sequences;

    /// <summary>The windows, bos first.</summary>
    public IReadOnlyList<int[]> Sequences { get; }

    /// <summary>Reads and cuts a text.</summary>
    /// <param name="model">A model with a tokenizer.</param>
    /// <param name="file">UTF-8 text.</param>
    /// <param name="tokens">Tokens a window.</param>
    /// <param name="atMost">Windows at most, from the start of the text; 0 for all.</param>
    public static HeldoutWindows Read(LanguageModel model, string file, int tokens, int atMost)
    {
        if (model.Tokenizer is not { } tokenizer) throw new UsageException("perplexity needs a model with a tokenizer, not a shape");
        return Cut(tokenizer.Encode(File.ReadAllText(file), addSpecialTokens: false), model.Generation.BosTokenId, tokens, atMost, file);
    }

    /// <summary>Cuts a sequence of ids.</summary>
    /// <exception cref="ArgumentException">There is not one whole window.</exception>
    public static HeldoutWindows Cut(ReadOnlySpan<int> ids, int? bos, int tokens, int atMost, string file)
    {
        int[] prefix = bos is { } id ? [id] : [];
        List<int[]> windows = [];
        for (int start = 0; start + tokens <= ids.Length && (atMost == 0 || windows.Count < atMost); start += tokens)
            windows.Add([.. prefix, .. ids.Slice(start, tokens)]);
        if (windows.Count == 0) throw new ArgumentException($"{file}: got {ids.Length} tokens, expected at least one window of {tokens}");
        return new HeldoutWindows(windows);
    }
}
