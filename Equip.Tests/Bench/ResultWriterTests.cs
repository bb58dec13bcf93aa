using System.Text.Json.Nodes;
using System.Xml.Linq;
using Equip.Bench.Output;

namespace Equip.Tests.Bench;

internal sealed class ResultWriterTests
{
    private static readonly Column<Sample>[] _columns =
    [
        new("name", "name", ColumnType.Text, ColumnView.Shown, row => row.Name),
        new("update", "how", ColumnType.Text, ColumnView.Setting, _ => "in|place"),
        new("threads", "threads", ColumnType.Integer, ColumnView.Setting, row => row.Threads),
        new("avg_ts", "tokens/s", ColumnType.Real, ColumnView.Shown, row => Format.Real(row.Speed)) { Bars = true, Display = row => Format.Spread(row.Speed, 1) },
        new("budget", "budget", ColumnType.Integer, ColumnView.Shown, row => row.Budget),
        new("unused", "unused", ColumnType.Real, ColumnView.Optional, _ => null),
        new("samples_ts", "samples", ColumnType.Nested, ColumnView.DataOnly, row => Format.List([row.Speed, 0.5])),
    ];

    private static readonly Sample[] _rows =
    [
        new("plain", 2, 100, 512),
        new("O'Neil, \"x\" | <b>&\nend", 2, 50.25, null),
    ];

    [Test]
    public void Markdown_Rows_AlignedEscapedWithCommonSettingsAbove() =>
        Assert.That(Write(new MarkdownWriter(), _rows), Is.EqualTo(
            "how in\\|place, threads 2  \n" +
            "\n" +
            "| name                    |      tokens/s | budget |\n" +
            "| ----------------------- | ------------: | -----: |\n" +
            "| plain                   | 100.0 ± 1.000 |    512 |\n" +
            "| O'Neil, \"x\" \\| <b>& end | 50.25 ± 1.000 |      - |\n"));

    [Test]
    public void Markdown_SettingThatVaries_IsAColumn()
    {
        string text = Write(new MarkdownWriter(), [_rows[0], _rows[0] with { Threads = 1 }]);
        Assert.That(text, Does.Contain("| threads |"));
        Assert.That(text, Does.Not.Contain("threads 2"));
    }

    [Test]
    public void Markdown_NoRows_WritesNothing() => Assert.That(Write(new MarkdownWriter(), []), Is.Empty);

    [Test]
    public void Markdown_Lines_OneEach()
    {
        Column<Sample>[] columns = [new("cpu_info", "cpu", ColumnType.Text, ColumnView.Line, row => row.Name), new("none", "none", ColumnType.Text, ColumnView.Line, _ => null)];
        Assert.That(Write(new MarkdownWriter(), [_rows[0]], columns), Is.EqualTo("- cpu: plain\n"));
    }

    [Test]
    public void Csv_Rows_FollowRfc4180() =>
        Assert.That(Write(new CsvWriter(), _rows), Is.EqualTo(
            "name,update,threads,avg_ts,budget,unused,samples_ts\r\n" +
            "plain,in|place,2,100,512,,\"[100,0.5]\"\r\n" +
            "\"O'Neil, \"\"x\"\" | <b>&\nend\",in|place,2,50.25,,,\"[50.25,0.5]\"\r\n"));

    [Test]
    public void Csv_EmptyText_DiffersFromMissing() =>
        Assert.That(Write(new CsvWriter(), [new Sample("", 1, 1, null)]), Does.EndWith("\r\n\"\",in|place,1,1,,,\"[1,0.5]\"\r\n"));

    [Test]
    public void Json_Rows_ParseBackToTheValues()
    {
        JsonArray rows = JsonNode.Parse(Write(new JsonWriter(), _rows))!.AsArray();
        Assert.That(rows, Has.Count.EqualTo(2));
        Assert.That(rows[1]!["name"]!.GetValue<string>(), Is.EqualTo(_rows[1].Name));
        Assert.That(rows[1]!.AsObject().ContainsKey("budget"), Is.True);
        Assert.That(rows[1]!["budget"], Is.Null);
        Assert.That(rows[0]!["samples_ts"]![1]!.GetValue<double>(), Is.EqualTo(0.5));
        Assert.That(rows[0]!.AsObject().Select(field => field.Key), Is.EqualTo(_columns.Select(column => column.Name)));
    }

    [Test]
    public void Json_NoRows_IsAnEmptyArray() => Assert.That(JsonNode.Parse(Write(new JsonWriter(), []))!.AsArray(), Is.Empty);

    [Test]
    public void Json_NotFinite_IsNull() =>
        Assert.That(JsonNode.Parse(Write(new JsonWriter(), [new Sample("x", 1, double.NaN, 1)]))![0]!["avg_ts"], Is.Null);

    [Test]
    public void JsonLines_Rows_OneObjectALineAsSoonAsAdded()
    {
        StringWriter output = new();
        using ResultTable<Sample> table = new("decode", _columns, new JsonLinesWriter(), output);
        table.Add(_rows[1]);
        string first = output.ToString();
        Assert.That(first, Has.Exactly(1).EqualTo('\n'));
        Assert.That(JsonNode.Parse(first)!["name"]!.GetValue<string>(), Is.EqualTo(_rows[1].Name));
    }

    [Test]
    public void Sql_Rows_QuotedNamesAndDoubledQuotes()
    {
        string text = Write(new SqlWriter(), _rows);
        Assert.That(text, Does.StartWith("CREATE TABLE IF NOT EXISTS \"decode\" (\n  \"name\" TEXT,\n  \"update\" TEXT,\n  \"threads\" BIGINT,\n  \"avg_ts\" DOUBLE PRECISION,\n"));
        Assert.That(text, Does.Contain("(\"name\", \"update\", \"threads\", \"avg_ts\", \"budget\", \"unused\", \"samples_ts\") VALUES ('plain', 'in|place', 2, 100, 512, NULL, '[100,0.5]');\n"));
        Assert.That(text, Does.Contain("VALUES ('O''Neil, \"x\" | <b>&\nend', "));
    }

    [Test]
    public void Html_Rows_WellFormedEscapedWithBarsInProportion()
    {
        string text = Write(new HtmlWriter(), _rows);
        Assert.That(text, Does.Contain("O&#39;Neil, &quot;x&quot; | &lt;b&gt;&amp;\nend"));
        Assert.That(text, Does.Not.Contain("<b>"));
        XElement body = XElement.Parse(text[text.IndexOf("<body>", StringComparison.Ordinal)..text.IndexOf("</html>", StringComparison.Ordinal)].Replace("&ndash;", "-", StringComparison.Ordinal));
        Assert.That(string.Join(' ', body.Descendants("rect").Select(bar => (string?)bar.Attribute("width"))), Is.EqualTo("240 120.6"));
        Assert.That(body.Descendants("tr").Select(row => row.Elements().Count()), Is.All.EqualTo(4));
    }

    private static string Write(ResultWriter writer, Sample[] rows, Column<Sample>[]? columns = null)
    {
        StringWriter output = new() { NewLine = "\n" };
        using (ResultTable<Sample> table = new("decode", columns ?? _columns, writer, output))
            foreach (Sample row in rows) table.Add(row);
        return output.ToString();
    }

    private sealed record Sample(string Name, int Threads, double Speed, int? Budget);
}
