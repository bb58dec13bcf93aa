using System.Globalization;
using System.Text;

namespace Equip.Model.Tokenizer;

/// <summary>
/// Translates the regular expressions of tokenizer.json, which are written for Oniguruma (Ruby syntax, Unicode), to .NET's
/// syntax. Only what means the same in both is let through, or is rewritten so that it does: possessive quantifiers, \w,
/// {,n}, and "s" without case, which is also U+017F. All else (script properties, back references, class intersections, word
/// borders, ...) is refused, since .NET would read some of it silently as something else. One difference is left: without
/// case, Oniguruma lets two letters match their ligature (ss and U+00DF).
/// </summary>
internal sealed class OnigurumaPattern
{
    /// <summary>\w in a class; .NET's own leaves out some marks, letter numbers and circled letters.</summary>
    private const string WordClass = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u24B6-\u24E9";

    /// <summary>\w on its own; Oniguruma then takes the superscripts and fractions of Latin-1 in as well.</summary>
    private const string Word = WordClass + @"\u00B2\u00B3\u00B9\u00BC-\u00BE";

    private static readonly string[] _categories =
    [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Cn", "Co",
    ];

    private static readonly string[] _groups = ["(?<=", "(?<!", "(?:", "(?=", "(?!", "(?>", "(?i:"];

    private readonly string _pattern;
    private readonly StringBuilder _output = new();
    private readonly Stack<(int Start, bool IgnoreCase)> _open = [];
    private int _at;
    private bool _ignoreCase;

    private OnigurumaPattern(string pattern) => _pattern = pattern;

    /// <summary>The same expression for <see cref="System.Text.RegularExpressions.Regex"/> (with Multiline).</summary>
    /// <exception cref="FormatException">It holds something that is not translated.</exception>
    public static string Translate(string pattern) => new OnigurumaPattern(pattern).Run();

    private string Run()
    {
        // Where the last atom starts in the output; -1 where a quantifier has nothing to repeat.
        int atom = -1;
        while (_at < _pattern.Length)
        {
            char next = _pattern[_at];
            int start = _output.Length;
            switch (next)
            {
                case '(':
                    Open();
                    atom = -1;
                    break;
                case ')':
                    if (_open.Count == 0) throw Refuse("unmatched )");
                    (atom, _ignoreCase) = _open.Pop();
                    Take(1);
                    break;
                case '*' or '+' or '?' or '{':
                    if (atom < 0) throw Refuse($"nothing for {next} to repeat");
                    Quantifier(atom);
                    atom = -1;
                    break;
                case '|' or '^' or '$':
                    Take(1);
                    atom = -1;
                    break;
                case '[':
                    Class();
                    atom = start;
                    break;
                case '\\':
                    Escape(inClass: false);
                    atom = start;
                    break;
                case '.':
                    Take(1);
                    atom = start;
                    break;
                default:
                    Literal(next, inClass: false);
                    _at++;
                    atom = start;
                    break;
            }
        }

        if (_open.Count > 0) throw Refuse("unmatched (");
        return _output.ToString();
    }

    private void Open()
    {
        _open.Push((_output.Length, _ignoreCase));
        foreach (string group in _groups)
        {
            if (!_pattern.AsSpan(_at).StartsWith(group, StringComparison.Ordinal)) continue;
            _ignoreCase |= group == "(?i:";
            Take(group.Length);
            return;
        }

        if (_pattern.AsSpan(_at).StartsWith("(?", StringComparison.Ordinal)) throw Refuse("this kind of group");
        _output.Append("(?:");
        _at++;
    }

    private void Quantifier(int atom)
    {
        int start = _output.Length;
        bool interval = _pattern[_at] == '{';
        if (interval) Interval();
        else Take(1);
        if (_at == _pattern.Length) return;
        switch (_pattern[_at])
        {
            case '?' when !interval || _output.ToString(start, _output.Length - start).Contains(','):
                Take(1);
                break;
            case '+' when !interval:
                _output.Insert(atom, "(?>").Append(')');
                _at++;
                break;
            case '*' or '+' or '?' or '{':
                throw Refuse("a quantifier after a quantifier");
        }
    }

    /// <summary>{n}, {n,}, {n,m} or {,m}, which .NET would take as text.</summary>
    private void Interval()
    {
        int end = _pattern.IndexOf('}', _at);
        string[] bounds = end < 0 ? [] : _pattern[(_at + 1)..end].Split(',');
        if (bounds.Length is 0 or > 2 || bounds.All(string.IsNullOrEmpty) || bounds.Any(static bound => bound.AsSpan().IndexOfAnyExceptInRange('0', '9') >= 0))
            throw Refuse("{ that is not a count");
        if (bounds[0].Length == 0) bounds[0] = "0";
        _output.Append('{').AppendJoin(',', bounds).Append('}');
        _at = end + 1;
    }

    private void Class()
    {
        Take(1);
        if (_at < _pattern.Length && _pattern[_at] == '^') Take(1);
        int first = _at;
        // What a '-' would make a range of: a character, not a class such as \s.
        bool single = false;
        for (; ; )
        {
            if (_at == _pattern.Length) throw Refuse("unmatched [");
            char next = _pattern[_at];
            if (next == ']')
            {
                if (_at == first) throw Refuse("an empty class");
                Take(1);
                return;
            }

            if (next == '[') throw Refuse("[ in a class");
            if (next == '&' && _pattern.AsSpan(_at).StartsWith("&&", StringComparison.Ordinal)) throw Refuse("&& in a class");
            bool last = _at + 1 < _pattern.Length && _pattern[_at + 1] == ']';
            if (next == '-' && _at != first && !last)
            {
                if (!single) throw Refuse("- after a class");
                Range();
                single = false;
                continue;
            }

            single = Member();
        }
    }

    private void Range()
    {
        // Letters in it would have to be taken out one by one to find those with partners.
        if (_ignoreCase) throw Refuse("a range without case");
        Take(1);
        if (_at == _pattern.Length || _pattern[_at] == '[' || !Member()) throw Refuse("a range without an end");
    }

    /// <summary>One member of a class; true if it is a single character.</summary>
    private bool Member()
    {
        if (_pattern[_at] == '\\') return Escape(inClass: true);
        Literal(_pattern[_at], inClass: true);
        _at++;
        return true;
    }

    private bool Escape(bool inClass)
    {
        if (_at + 1 == _pattern.Length) throw Refuse("\\ at the end");
        char kind = _pattern[_at + 1];
        switch (kind)
        {
            case 's' or 'S' or 'd' or 'D':
                Take(2);
                return false;
            case 'n' or 'r' or 't' or 'f' or 'v':
                Take(2);
                return true;
            case 'w':
                _output.Append(inClass ? WordClass : $"[{Word}]");
                _at += 2;
                return false;
            case 'W' when !inClass:
                _output.Append($"[^{Word}]");
                _at += 2;
                return false;
            case 'p' or 'P':
                Category();
                return false;
            case 'u' or 'x':
                Hexadecimal(inClass);
                return true;
            case 'A' or 'z' when !inClass:
                Take(2);
                return false;
            case < '\u0080' when !char.IsAsciiLetterOrDigit(kind):
                Literal(kind, inClass);
                _at += 2;
                return true;
            default:
                throw Refuse($"\\{kind}");
        }
    }

    /// <summary>\p{Lu}, \P{Lu} or \p{^Lu}.</summary>
    private void Category()
    {
        int end = _pattern.IndexOf('}', _at);
        if (end < 0 || _pattern[_at + 2] != '{') throw Refuse("a property without { }");
        string name = _pattern[(_at + 3)..end];
        bool inverted = name.StartsWith('^');
        if (!_categories.Contains(inverted ? name[1..] : name)) throw Refuse($"the property {name}");
        bool negative = inverted != (_pattern[_at + 1] == 'P');
        _output.Append(negative ? @"\P{" : @"\p{").Append(name.AsSpan(inverted ? 1 : 0)).Append('}');
        _at = end + 1;
    }

    /// <summary>\uHHHH, \xHH or \x{H...}.</summary>
    private void Hexadecimal(bool inClass)
    {
        bool isByte = false, isBraced = _pattern.AsSpan(_at).StartsWith(@"\x{", StringComparison.Ordinal);
        int start = _at + (isBraced ? 3 : 2), end;
        if (_pattern[_at + 1] == 'u') end = start + 4;
        else if (isBraced) end = _pattern.IndexOf('}', start);
        else (end, isByte) = (start + 2, true);
        if (end < start || end > _pattern.Length || !ushort.TryParse(_pattern.AsSpan(start..end), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort value))
            throw Refuse("a character that is not given in hexadecimal, or above U+FFFF");
        // A byte above 7F would be part of UTF-8 there and a character here.
        if (isByte && value > 0x7F) throw Refuse("\\x above 7F");
        Literal((char)value, inClass);
        _at = end + (isBraced ? 1 : 0);
    }

    /// <summary>Writes a character that stands for itself. Without case, only ASCII letters have the same partners in both.</summary>
    private void Literal(char character, bool inClass)
    {
        if (char.IsSurrogate(character)) throw Refuse("a character above U+FFFF");
        if (!_ignoreCase || !char.IsLetter(character))
        {
            if (character < '\u0080' && !char.IsAsciiLetterOrDigit(character) && character is not (' ' or '\'' or '"')) _output.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}");
            else _output.Append(character);
            return;
        }

        if (!char.IsAscii(character)) throw Refuse("a letter outside ASCII without case");
        bool isS = character is 's' or 'S';
        if (!isS) _output.Append(character);
        else _output.Append(inClass ? $"{character}\u017F" : $"[{character}\u017F]");
    }

    private void Take(int count)
    {
        _output.Append(_pattern, _at, count);
        _at += count;
    }

    private FormatException Refuse(string what) => new($"regular expression, character {_at}: {what} is not supported");
}
