using System.Text.Json.Nodes;

namespace Equip.Bench.Output;

/// <summary>What a column holds; a value may always be missing (null).</summary>
internal enum ColumnType
{
    /// <summary>Text.</summary>
    Text,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>A real number; not-a-number and infinities count as missing.</summary>
    Real,

    /// <summary>A list or an object: nested in json, JSON text in flat formats.</summary>
    Nested,
}

/// <summary>Where a column is shown to people (md, html). Data formats carry every column.</summary>
internal enum ColumnView
{
    /// <summary>Always.</summary>
    Shown,

    /// <summary>In the table if its values differ between rows, else once above the table.</summary>
    Setting,

    /// <summary>On a line of its own above the table: for tables of one row.</summary>
    Line,

    /// <summary>If any row has a value.</summary>
    Optional,

    /// <summary>Never: data formats only.</summary>
    DataOnly,
}

/// <summary>A column of a result table.</summary>
/// <param name="Name">The field's name in data formats, snake_case, with its unit.</param>
/// <param name="Heading">The heading for people.</param>
/// <param name="Type">What it holds.</param>
/// <param name="View">Where it is shown to people.</param>
internal abstract record Column(string Name, string Heading, ColumnType Type, ColumnView View)
{
    /// <summary>Whether html draws this column's values as bars.</summary>
    public bool Bars { get; init; }

    /// <summary>How a value looks to people; null for the value as it is.</summary>
    public Func<JsonNode, string>? Show { get; init; }
}

/// <summary>A column that takes its values from a <typeparamref name="TRow"/>.</summary>
internal sealed record Column<TRow>(string Name, string Heading, ColumnType Type, ColumnView View, Func<TRow, JsonNode?> Value)
    : Column(Name, Heading, Type, View)
{
    /// <summary>How a row's value looks to people, where that takes more than the value; null for <see cref="Column.Show"/>.</summary>
    public Func<TRow, string>? Display { get; init; }

    /// <summary>The column over rows that were written as JSON objects earlier: the value is the field of its name.</summary>
    public Column<TOther> Over<TOther>(Func<TOther, JsonObject> record) =>
        new(Name, Heading, Type, View, row => record(row)[Name]?.DeepClone()) { Bars = Bars, Show = Show };
}
