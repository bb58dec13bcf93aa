using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Equip.Bench.CommandLine;

/// <summary>What a command writes to and is stopped by.</summary>
/// <param name="Output">Results, nothing else.</param>
/// <param name="Error">Progress, notes and failures.</param>
/// <param name="Stop">Ends the work at the next step.</param>
internal sealed record ToolContext(TextWriter Output, TextWriter Error, CancellationToken Stop);

/// <summary>A command of the tool: its options are its fields, its help ends with details and examples.</summary>
internal abstract class ToolCommand : Command
{
    /// <summary>Makes the command.</summary>
    /// <param name="name">What is typed.</param>
    /// <param name="description">One sentence.</param>
    /// <param name="details">What the results mean.</param>
    /// <param name="examples">Command lines.</param>
    protected ToolCommand(string name, string description, string details, string examples)
        : base(name, description)
    {
        Notes = $"{(details.Length > 0 ? $"Details:\n{details}\n\n" : "")}Examples:\n{examples}";
        SetAction((parsed, stop) => Task.FromResult(
            Run(parsed, new ToolContext(parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, stop))));
    }

    /// <summary>Details and examples, printed after the options.</summary>
    public string Notes { get; }

    /// <summary>The command as typed: "equip decode".</summary>
    public static string PathOf(Command command) =>
        command is RootCommand ? "equip" : string.Join(' ', command.Parents.OfType<Command>().Select(PathOf).Append(command.Name));

    /// <summary>Does the work.</summary>
    /// <returns>The exit code.</returns>
    protected abstract int Run(ParseResult parsed, ToolContext context);

    protected void AddAll(params IEnumerable<Option> options)
    {
        foreach (Option option in options) Options.Add(option);
    }
}

/// <summary>The usual help, followed by the command's details and examples.</summary>
internal sealed class ExampleHelpAction(HelpAction usual, string rootNotes) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        usual.MaxWidth = Console.IsOutputRedirected ? 110 : Math.Max(80, Console.WindowWidth);
        int exit = usual.Invoke(parseResult);
        string notes = parseResult.CommandResult.Command is ToolCommand command ? command.Notes : rootNotes;
        parseResult.InvocationConfiguration.Output.WriteLine($"{notes}\n\nExit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl-C (finished rows are printed).");
        return exit;
    }
}
