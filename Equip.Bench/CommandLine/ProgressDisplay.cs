using Spectre.Console;

namespace Equip.Bench.CommandLine;

/// <summary>
/// Progress on the error stream, only where that is a terminal. It is redrawn by the working thread between steps, never by a
/// timer, so that it takes no time from what is measured.
/// </summary>
internal static class ProgressDisplay
{
    /// <summary>Runs <paramref name="work"/>, which calls back after some of <paramref name="steps"/> steps with their number and a word on what is done.</summary>
    public static void Run(ToolContext context, int steps, string first, Action<Action<int, string>> work)
    {
        if (!ReferenceEquals(context.Error, Console.Error) || Console.IsErrorRedirected)
        {
            work((_, _) => { });
            return;
        }

        IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        terminal.Progress().AutoRefresh(false).AutoClear(true)
            .Columns(new SpinnerColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn(), new TaskDescriptionColumn { Alignment = Justify.Left })
            .Start(display =>
            {
                ProgressTask task = display.AddTask(Markup.Escape(first), maxValue: Math.Max(steps, 1));
                display.Refresh();
                work((done, next) =>
                {
                    task.Increment(done);
                    task.Description = Markup.Escape(next);
                    display.Refresh();
                });
            });
    }
}
