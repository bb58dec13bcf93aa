using System.Globalization;
using System.Net;
using System.Text;

namespace Equip.Bench.Eval;

/// <summary>A line of a figure.</summary>
/// <param name="Label">What it is.</param>
/// <param name="Points">Ascending in X; the note stands where the pointer rests.</param>
internal sealed record Curve(string Label, IReadOnlyList<(double X, double Value, string Note)> Points);

/// <summary>Lines over one axis as inline SVG, with a legend.</summary>
/// <param name="Title">What is drawn over what.</param>
/// <param name="Caption">What else there is to say about the axis.</param>
/// <param name="Curves">The lines.</param>
internal sealed record CurveFigure(string Title, string Caption, IReadOnlyList<Curve> Curves)
{
    private const int Width = 760, Height = 400, Left = 56, Right = 16, Top = 12, Bottom = 44;

    // Dark enough on white and light enough on black; lines beyond the last colour are dashed.
    private static readonly string[] _colours = ["#4477aa", "#ee6677", "#228833", "#bb8800", "#3399bb", "#aa3377", "#888888", "#d9602b", "#6a5acd", "#008b8b"];

    private static readonly int[] _digits = [1, 2, 5];

    private static readonly string[] _dashes = ["", "7 4", "2 3", "9 3 2 3"];

    /// <summary>What is marked on the horizontal axis, ascending, from its begin to its end.</summary>
    public required IReadOnlyList<double> Marks { get; init; }

    /// <summary>What is marked on the vertical axis, ascending, from its begin to its end.</summary>
    public required IReadOnlyList<double> Levels { get; init; }

    /// <summary>Behind the numbers of the horizontal axis.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Whether equal ratios are equal distances along the horizontal axis.</summary>
    public bool LogX { get; init; }

    /// <summary>The same of the vertical axis.</summary>
    public bool LogY { get; init; }

    /// <summary>Whether the best line is the highest; the legend begins with it.</summary>
    public bool HighIsGood { get; init; }

    /// <summary>Levels about a fifth of a range apart, 1, 2 or 5 times a power of ten.</summary>
    public static IReadOnlyList<double> LevelsOf(double least, double most)
    {
        double raw = Math.Max(most - least, 1e-3) / 5, power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
        double low = Math.Floor(least / step);
        return [.. Enumerable.Range(0, 1 + (int)Math.Max(1, Math.Ceiling(most / step) - low)).Select(i => (low + i) * step)];
    }

    /// <summary>Levels at 1, 2 and 5 times the powers of ten.</summary>
    public static IReadOnlyList<double> LogLevelsOf(double least, double most)
    {
        double[] all = [.. from power in Enumerable.Range(-3, 16) from digit in _digits select digit * Math.Pow(10, power)];
        int low = Math.Max(0, Array.FindLastIndex(all, level => level <= least)), high = Array.FindIndex(all, low + 1, level => level >= most);
        return high < 0 ? all[low..] : all[low..(high + 1)];
    }

    /// <summary>The figure.</summary>
    public string Html()
    {
        StringBuilder html = new();
        html.AppendLine(CultureInfo.InvariantCulture, $"<figure><figcaption>{Text(Title)} ({Text(Caption)})</figcaption>");
        html.AppendLine(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" width=\"{Width}\" role=\"img\" aria-label=\"{Text(Title)}\" font-size=\"12\" fill=\"currentColor\">");
        foreach (double level in Levels)
        {
            html.AppendLine(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Y(level):0.#}H{Width - Right}\" stroke=\"currentColor\" stroke-opacity=\".2\"/>");
            html.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{Y(level) + 4:0.#}\" text-anchor=\"end\">{level:0.####}</text>");
        }

        foreach (double mark in Marks) html.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{X(mark):0.#}\" y=\"{Height - Bottom + 20}\" text-anchor=\"middle\">{mark:0.####}{Unit}</text>");
        for (int i = 0; i < Curves.Count; i++)
        {
            string label = Text(Curves[i].Label), line = string.Join(' ', Curves[i].Points.Select(point => FormattableString.Invariant($"{X(point.X):0.#},{Y(point.Value):0.#}")));
            html.AppendLine(CultureInfo.InvariantCulture, $"<g stroke=\"{Colour(i)}\" fill=\"{Colour(i)}\"><title>{label}</title><polyline points=\"{line}\" fill=\"none\" stroke-width=\"2\" stroke-dasharray=\"{Dash(i)}\"/>");
            foreach ((double x, double value, string note) in Curves[i].Points)
                html.AppendLine(CultureInfo.InvariantCulture, $"<circle cx=\"{X(x):0.#}\" cy=\"{Y(value):0.#}\" r=\"3\"><title>{label}, {Text(note)}</title></circle>");
            html.AppendLine("</g>");
        }

        html.AppendLine("</svg>\n<ul class=\"legend\">");

        // In the order in which the lines end, so that the eye finds them.
        foreach (int i in Enumerable.Range(0, Curves.Count).OrderBy(i => (HighIsGood ? -1 : 1) * Curves[i].Points[^1].Value))
            html.AppendLine(CultureInfo.InvariantCulture, $"<li><svg width=\"30\" height=\"10\"><path d=\"M0 5H30\" stroke=\"{Colour(i)}\" stroke-width=\"2\" stroke-dasharray=\"{Dash(i)}\"/></svg> {Text(Curves[i].Label)}</li>");
        html.AppendLine("</ul></figure>");
        return html.ToString();
    }

    private double X(double value) => Left + 20 + ((Width - Left - Right - 40) * Share(Marks, value, LogX));

    private double Y(double value) => Height - Bottom - ((Height - Top - Bottom) * Share(Levels, value, LogY));

    private static double Share(IReadOnlyList<double> axis, double value, bool log) =>
        log ? Math.Log(value / axis[0]) / Math.Log(axis[^1] / axis[0]) : (value - axis[0]) / (axis[^1] - axis[0]);

    private static string Colour(int line) => _colours[line % _colours.Length];

    private static string Dash(int line) => _dashes[line / _colours.Length % _dashes.Length];

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
