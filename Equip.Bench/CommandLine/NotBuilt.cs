using System.CommandLine;

namespace Equip.Bench.CommandLine;

/// <summary>Options of the design that this build has not: named, so that they are refused for what they are and not as a spelling mistake.</summary>
internal static class NotBuilt
{
    /// <summary>A hidden option that is refused whenever it is given.</summary>
    public static Option Option(string name, string reason)
    {
        Option<string[]> option = new(name) { Hidden = true, Arity = ArgumentArity.ZeroOrMore };
        option.Validators.Add(result => result.AddError($"{name}: not in this build: {reason}"));
        return option;
    }
}
