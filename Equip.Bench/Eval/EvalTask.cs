using System.Security.Cryptography;
using Equip.Bench.CommandLine;
using Equip.Model;

namespace Equip.Bench.Eval;

/// <summary>What is measured: the windows of a text, or cases with answers.</summary>
/// <param name="Name">perplexity, passkey or facts.</param>
/// <param name="File">The data file's name.</param>
/// <param name="Hash">Its SHA-256, so that results of different data are never taken for the same.</param>
/// <param name="Windows">The text; null for cases.</param>
/// <param name="Cases">The cases; empty for a text.</param>
/// <param name="PromptTokens">Of a text: tokens of a window that enter as a prompt. Of cases: tokens of a prompt, the mean.</param>
internal sealed record EvalTask(string Name, string File, string Hash, HeldoutWindows? Windows, IReadOnlyList<RetrievalCase> Cases, int PromptTokens)
{
    /// <summary>The task whose data is a text.</summary>
    public const string Perplexity = "perplexity";

    /// <summary>The tasks by name.</summary>
    public static Choices<string> Names { get; } = new([(Perplexity, Perplexity), ("passkey", "passkey"), ("facts", "facts")]);

    /// <summary>Windows or cases.</summary>
    public int Samples => Windows?.Sequences.Count ?? Cases.Count;

    /// <summary>Tokens of what a cache prunes, the mean: a prompt, or a window without one.</summary>
    public int PrunedTokens => PromptTokens > 0 ? PromptTokens : Windows!.Sequences[0].Length - 1;

    /// <summary>Every length of it.</summary>
    public IEnumerable<int> PrunedLengths => Windows is null ? Cases.Select(one => one.Prompt.Length).Distinct() : [PrunedTokens];

    /// <summary>Reads a text.</summary>
    public static EvalTask OfText(LanguageModel model, string? data, int context, int windows, int promptTokens)
    {
        string path = data ?? EvalData.PathOf(EvalData.Heldout);
        HeldoutWindows text = HeldoutWindows.Read(model, path, context, windows);
        int most = text.Sequences[0].Length - 2;
        if (promptTokens > most) throw new UsageException($"--prompt-tokens: got {promptTokens}, expected at most {most}, so that a window has a decode step to score");
        return new EvalTask(Perplexity, Path.GetFileName(path), HashOf(path), text, [], promptTokens);
    }

    /// <summary>Reads cases.</summary>
    public static EvalTask OfCases(LanguageModel model, string name, string? data, int cases)
    {
        string path = data ?? EvalData.PathOf(name == "passkey" ? EvalData.Passkey : EvalData.Facts);
        IReadOnlyList<RetrievalCase> read = RetrievalCase.Read(model, path, cases);
        return new EvalTask(name, Path.GetFileName(path), HashOf(path), null, read, (int)Math.Round(read.Average(one => one.Prompt.Length)));
    }

    private static string HashOf(string path)
    {
        using FileStream file = System.IO.File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
