namespace Equip.Bench.Eval;

/// <summary>The evaluation sets that come with the tool.</summary>
internal static class EvalData
{
    /// <summary>Held-out prose.</summary>
    public const string Heldout = "heldout.txt";

    /// <summary>200 prompts that hide a five-digit pass key.</summary>
    public const string Passkey = "passkey.jsonl";

    /// <summary>100 prompts that hide five facts and ask for one.</summary>
    public const string Facts = "facts.jsonl";

    /// <summary>Where a set lies.</summary>
    public static string PathOf(string set) => Path.Combine(AppContext.BaseDirectory, "EvalData", set);
}
