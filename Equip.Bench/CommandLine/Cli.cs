using System.CommandLine;
using System.CommandLine.Help;
using System.Text.Json;
using Equip.Bench.Decode;
using Equip.Bench.Eval;
using Equip.Bench.Info;
using Equip.Bench.Kernels;
using Equip.Bench.Run;
using Equip.Model;

namespace Equip.Bench.CommandLine;

/// <summary>The command line: builds the commands, runs one, and turns what goes wrong into one line and an exit code.</summary>
internal static class Cli
{
    /// <summary>Everything was done.</summary>
    public const int Success = 0;

    /// <summary>Something failed while running: a file, a model, a setting that the library refuses.</summary>
    public const int Failure = 1;

    /// <summary>The command line is wrong; nothing was run.</summary>
    public const int Usage = 2;

    /// <summary>Stopped by Ctrl-C; finished rows were printed.</summary>
    public const int Cancelled = 130;

    private static readonly Option<bool> _verbose = new("--verbose") { Description = "Show the stack trace of a failure.", Recursive = true };

    /// <summary>Runs the tool.</summary>
    /// <param name="args">The arguments, without the program's name.</param>
    /// <param name="output">Results.</param>
    /// <param name="error">Everything else.</param>
    /// <param name="stop">Ends the work at the next step.</param>
    /// <returns>The exit code.</returns>
    public static int Invoke(string[] args, TextWriter output, TextWriter error, CancellationToken stop = default)
    {
        // "-p 512" is never a bundle of flags, and a prompt that starts with @ is not a response file.
        ParseResult parsed = CreateRoot().Parse(args, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(problem => problem.Message).Distinct()) error.WriteLine($"equip: {message}");
            error.WriteLine($"Try '{ToolCommand.PathOf(parsed.CommandResult.Command)} --help'.");
            return Usage;
        }

        InvocationConfiguration configuration = new()
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        };
        try
        {
            return parsed.InvokeAsync(configuration, stop).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("equip: stopped");
            return Cancelled;
        }
#pragma warning disable CA1031 // Whatever fails ends here, as one line that a user can act on.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            error.WriteLine($"equip: {Describe(failure)}");
            if (parsed.GetValue(_verbose)) error.WriteLine(failure.ToString());
            return failure is UsageException ? Usage : Failure;
        }
    }

    /// <summary>The commands, for running, help and tests.</summary>
    public static RootCommand CreateRoot()
    {
        ComparisonCommand comparison = new();
        RootCommand root = new("Decode with a pruned KV cache: speed, memory and quality of eviction policies.")
        {
            new RunCommand(), new DecodeCommand(), new EvalCommand(), new KernelsCommand(), new InfoCommand(), _verbose,
        };
        root.Action = comparison.Action;
        foreach (Option option in root.Options)
            if (option is HelpOption help) help.Action = new ExampleHelpAction((HelpAction)help.Action!, comparison.Notes);
        return root;
    }

    /// <summary>An exception's message as one line, without the name and value that argument exceptions append.</summary>
    public static string MessageOf(Exception failure)
    {
        string message = failure.Message;
        if (failure is ArgumentException { ParamName: { } name })
            message = message.Split(Environment.NewLine)[0].Replace($" (Parameter '{name}')", "", StringComparison.Ordinal);
        return message.ReplaceLineEndings(" ").TrimEnd();
    }

    private static string Describe(Exception failure)
    {
        bool expected = failure is UsageException or ModelFormatException or ArgumentException or IOException or UnauthorizedAccessException
            or JsonException or PlatformNotSupportedException or NotSupportedException or OutOfMemoryException;
        return expected ? MessageOf(failure) : $"internal error: {failure.GetType().Name}: {MessageOf(failure)} (--verbose shows where)";
    }
}
