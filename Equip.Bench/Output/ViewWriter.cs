using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>Base of the formats for people: they need every row before the first, to align columns and to leave out what never changes.</summary>
internal abstract class ViewWriter : ResultWriter
{
    private readonly List<ResultRow> _rows = [];

    /// <summary>All rows.</summary>
    protected IReadOnlyList<ResultRow> Rows => _rows;

    public override void Row(ResultRow row) => _rows.Add(row);

    /// <summary>Indices of the columns that the table shows.</summary>
    protected IReadOnlyList<int> TableColumns => [.. Enumerable.Range(0, Columns.Count).Where(InTable)];

    /// <summary>"heading value" of the settings that are the same in every row.</summary>
    protected IReadOnlyList<string> CommonSettings =>
    [
        .. from column in Enumerable.Range(0, Columns.Count)
           where Columns[column].View == ColumnView.Setting && Rows.Count > 0 && !InTable(column) && Rows[0].Values[column] is not null
           select $"{Columns[column].Heading} {Rows[0].Displays[column]}",
    ];

    /// <summary>"heading: value" of the columns that have a line of their own.</summary>
    protected IReadOnlyList<string> Lines =>
    [
        .. from row in Rows
           from column in Enumerable.Range(0, Columns.Count)
           where Columns[column].View == ColumnView.Line && row.Values[column] is not null
           select $"{Columns[column].Heading}: {row.Displays[column]}",
    ];

    private bool InTable(int column) => Columns[column].View switch
    {
        ColumnView.Shown => true,
        ColumnView.Optional => Rows.Any(row => row.Values[column] is not null),
        // A setting that some rows have not (full has no budget) does not vary if all others agree.
        ColumnView.Setting => Rows.Select(row => row.Values[column]).OfType<JsonNode>().Select(Plain).Distinct().Count() > 1,
        _ => false,
    };
}
