using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>
/// Splits a template into tokens as Jinja2 does with <c>trim_blocks</c> and <c>lstrip_blocks</c>: the line's end after a block or
/// comment goes, and so does white space between a line's start and a block or comment. A minus beside a tag takes all white space
/// on its side, a plus leaves all of it.
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] _operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","];

    private readonly List<Token> _tokens = [];
    private readonly string _source;
    private int _at;
    private int _line = 1;
    private int _counted; // newlines before here are in _line
    private bool _lineStarting = true;

    private Lexer(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        _source = source.EndsWith('\n') ? source[..^1] : source;
    }

    /// <summary>Splits a template.</summary>
    /// <exception cref="TemplateError">With the line.</exception>
    public static IReadOnlyList<Token> Split(string source)
    {
        var lexer = new Lexer(source);
        lexer.Run();
        return lexer._tokens;
    }

    private void Run()
    {
        while (_at < _source.Length)
        {
            var tag = NextTag();
            if (tag < 0)
            {
                AddData(_source[_at..]);
                _at = _source.Length;
                break;
            }

            var data = _source[_at..tag];
            var kind = _source[tag + 1];
            var sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : '\0';
            AddData(Trimmed(data, sign, isVariable: kind == '{'));
            _at = tag + (sign == '\0' ? 2 : 3);
            switch (kind)
            {
                case '#':
                    SkipComment();
                    break;
                case '%' when RawBegin() is { } end:
                    _at = end;
                    _lineStarting = _source[_at - 1] == '\n';
                    ReadRaw();
                    break;
                default:
                    Add(kind == '%' ? TokenKind.BlockBegin : TokenKind.VariableBegin, "", tag);
                    ReadTag(kind == '%');
                    break;
            }
        }

        Add(TokenKind.End, "", _source.Length);
    }

    private int NextTag()
    {
        for (var at = _at; (at = _source.IndexOf('{', at)) >= 0 && at + 1 < _source.Length; at++)
        {
            if (_source[at + 1] is '%' or '{' or '#')
            {
                return at;
            }
        }

        return -1;
    }

    /// <summary>What is left of the text before a tag.</summary>
    private string Trimmed(string data, char sign, bool isVariable)
    {
        if (sign == '-')
        {
            return PyText.TrimEnd(data);
        }

        if (sign == '+' || isVariable)
        {
            return data;
        }

        var lineStart = data.LastIndexOf('\n') + 1;
        return (lineStart > 0 || _lineStarting) && data.AsSpan(lineStart).IndexOfAnyExcept(PyText.WhiteSpace) < 0 ? data[..lineStart] : data;
    }

    private void SkipComment()
    {
        var start = _at;
        var end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0)
        {
            throw Error("a comment has no end: '#}' is missing", start);
        }

        _at = end + 2;
        EndTag(end > start && _source[end - 1] is '-' or '+' ? _source[end - 1] : '\0', trimsLine: true);
    }

    /// <summary>Whether a block is <c>raw</c>, and where what it holds begins.</summary>
    private int? RawBegin()
    {
        var at = SkipWhiteSpace(_at);
        if (string.CompareOrdinal(_source, at, "raw", 0, 3) != 0)
        {
            return null;
        }

        at = SkipWhiteSpace(at + 3);
        if (string.CompareOrdinal(_source, at, "-%}", 0, 3) == 0)
        {
            return SkipWhiteSpace(at + 3);
        }

        return string.CompareOrdinal(_source, at, "%}", 0, 2) == 0 ? at + 2 : null;
    }

    private void ReadRaw()
    {
        for (var tag = _at; (tag = _source.IndexOf("{%", tag, StringComparison.Ordinal)) >= 0; tag++)
        {
            var at = tag + 2;
            var sign = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : '\0';
            at = SkipWhiteSpace(at);
            if (string.CompareOrdinal(_source, at, "endraw", 0, 6) != 0)
            {
                continue;
            }

            at = SkipWhiteSpace(at + 6);
            var endSign = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : '\0';
            if (string.CompareOrdinal(_source, at, "%}", 0, 2) == 0)
            {
                AddData(Trimmed(_source[_at..tag], sign, isVariable: false));
                _at = at + 2;
                EndTag(endSign, trimsLine: true);
                return;
            }
        }

        throw Error("a raw block has no end: '{% endraw %}' is missing", _at);
    }

    private void ReadTag(bool isBlock)
    {
        var open = new Stack<char>();
        var begin = _at;
        while (true)
        {
            _at = SkipWhiteSpace(_at);
            if (_at >= _source.Length)
            {
                throw Error(isBlock ? "a block has no end: '%}' is missing" : "an expression has no end: '}}' is missing", begin);
            }

            if (open.Count == 0 && TryEndTag(isBlock))
            {
                return;
            }

            var c = _source[_at];
            if (char.IsAsciiDigit(c))
            {
                ReadNumber();
            }
            else if (c == '_' || char.IsLetter(c))
            {
                var start = _at;
                while (_at < _source.Length && (_source[_at] == '_' || char.IsLetterOrDigit(_source[_at])))
                {
                    _at++;
                }

                Add(TokenKind.Name, _source[start.._at], start);
            }
            else if (c is '\'' or '"')
            {
                ReadString(c);
            }
            else
            {
                ReadOperator(open);
            }
        }
    }

    private bool TryEndTag(bool isBlock)
    {
        var mark = isBlock ? "%}" : "}}";
        var sign = _source[_at] == '-' || (isBlock && _source[_at] == '+') ? _source[_at] : '\0';
        var at = sign == '\0' ? _at : _at + 1;
        if (string.CompareOrdinal(_source, at, mark, 0, 2) != 0)
        {
            return false;
        }

        Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "", _at);
        _at = at + 2;
        EndTag(sign, trimsLine: isBlock);
        return true;
    }

    private void EndTag(char sign, bool trimsLine)
    {
        if (sign == '-')
        {
            _at = SkipWhiteSpace(_at);
        }
        else if (sign == '\0' && trimsLine && _at < _source.Length && _source[_at] == '\n')
        {
            _at++;
        }

        _lineStarting = _source[_at - 1] == '\n';
    }

    private void ReadNumber()
    {
        var start = _at;
        if (_source[_at] == '0' && _at + 1 < _source.Length && char.ToLowerInvariant(_source[_at + 1]) is 'x' or 'b' or 'o')
        {
            _at += 2;
            Skip(c => char.IsAsciiHexDigit(c) || c == '_');
            Add(TokenKind.Integer, _source[start.._at], start);
            return;
        }

        Skip(IsDigitOrUnderscore);
        var kind = TokenKind.Integer;
        // After a point ("message.0.5") digits are an index.
        if (start == 0 || _source[start - 1] != '.')
        {
            if (_at + 1 < _source.Length && _source[_at] == '.' && char.IsAsciiDigit(_source[_at + 1]))
            {
                _at++;
                Skip(IsDigitOrUnderscore);
                kind = TokenKind.Float;
            }

            if (_at < _source.Length && _source[_at] is 'e' or 'E')
            {
                var digits = _at + 1 < _source.Length && _source[_at + 1] is '+' or '-' ? _at + 2 : _at + 1;
                if (digits < _source.Length && char.IsAsciiDigit(_source[digits]))
                {
                    _at = digits;
                    Skip(IsDigitOrUnderscore);
                    kind = TokenKind.Float;
                }
            }
        }

        Add(kind, _source[start.._at].Replace("_", "", StringComparison.Ordinal), start);
    }

    private static bool IsDigitOrUnderscore(char c) => char.IsAsciiDigit(c) || c == '_';

    private void Skip(Func<char, bool> takes)
    {
        while (_at < _source.Length && takes(_source[_at]))
        {
            _at++;
        }
    }

    private void ReadString(char quote)
    {
        var start = _at;
        var text = new StringBuilder();
        for (_at++; ; _at++)
        {
            if (_at >= _source.Length)
            {
                throw Error($"a string has no end: {quote} is missing", start);
            }

            var c = _source[_at];
            if (c == quote)
            {
                break;
            }

            if (c != '\\')
            {
                text.Append(c);
                continue;
            }

            _at++;
            if (_at < _source.Length)
            {
                ReadEscape(text, start);
            }
        }

        _at++;
        Add(TokenKind.String, text.ToString(), start);
    }

    /// <summary>Reads an escape of Python's strings, from the character after the backslash to its own last.</summary>
    private void ReadEscape(StringBuilder text, int start)
    {
        var c = _source[_at];
        switch (c)
        {
            case '\n':
                break;
            case '\\' or '\'' or '"':
                text.Append(c);
                break;
            case >= '0' and <= '7':
                var octal = 0;
                var digits = 0;
                for (; digits < 3 && _at + digits < _source.Length && _source[_at + digits] is >= '0' and <= '7'; digits++)
                {
                    octal = (octal * 8) + _source[_at + digits] - '0';
                }

                text.Append((char)octal);
                _at += digits - 1;
                break;
            case 'x' or 'u' or 'U':
                var length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                if (_at + length >= _source.Length
                    || !int.TryParse(_source.AsSpan(_at + 1, length), System.Globalization.NumberStyles.AllowHexSpecifier, null, out var code)
                    || code > 0x10FFFF)
                {
                    throw Error($"the escape \\{c} needs {length} hexadecimal digits of a character", start);
                }

                text.Append(code <= 0xFFFF ? ((char)code).ToString() : char.ConvertFromUtf32(code));
                _at += length;
                break;
            case 'N':
                throw Error("the escape \\N (a character by its name) is not supported; write \\u and its code", start);
            default:
                var plain = "abfnrtv".IndexOf(c, StringComparison.Ordinal);
                if (plain >= 0)
                {
                    text.Append("\a\b\f\n\r\t\v"[plain]);
                }
                else
                {
                    text.Append('\\').Append(c);
                }

                break;
        }
    }

    private void ReadOperator(Stack<char> open)
    {
        var found = Array.Find(_operators, o => string.CompareOrdinal(_source, _at, o, 0, o.Length) == 0)
            ?? throw Error($"the character '{_source[_at]}' belongs to no expression", _at);
        switch (found[0])
        {
            case '(':
                open.Push(')');
                break;
            case '[':
                open.Push(']');
                break;
            case '{':
                open.Push('}');
                break;
            case ')' or ']' or '}' when open.Count == 0:
                throw Error($"'{found}' closes nothing", _at);
            case ')' or ']' or '}' when open.Pop() is var expected && expected != found[0]:
                throw Error($"'{found}' stands where '{expected}' would close", _at);
        }

        Add(TokenKind.Operator, found, _at);
        _at += found.Length;
    }

    private int SkipWhiteSpace(int at)
    {
        while (at < _source.Length && PyText.IsWhiteSpace(_source[at]))
        {
            at++;
        }

        return at;
    }

    private void AddData(string text)
    {
        if (text.Length > 0)
        {
            Add(TokenKind.Data, text, _at);
        }
    }

    private void Add(TokenKind kind, string text, int at) => _tokens.Add(new Token(kind, text, LineOf(at)));

    private int LineOf(int at)
    {
        if (at >= _counted)
        {
            _line += _source.AsSpan(_counted, at - _counted).Count('\n');
            _counted = at;
            return _line;
        }

        return 1 + _source.AsSpan(0, at).Count('\n');
    }

    private TemplateError Error(string message, int at) => new(message) { Line = LineOf(at) };
}
