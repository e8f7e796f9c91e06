using System.Globalization;
using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>
/// Reads expressions, with Jinja2's precedence from loosest to tightest: if-else, or, and, not, comparisons, + and -, ~, * / // %,
/// **, unary signs, then attributes, items and calls, then filters and tests.
/// </summary>
internal class ExpressionParser(IReadOnlyList<Token> tokens)
{
    private const int MaxNesting = 200;

    private int _at;
    private int _nesting;

    /// <summary>The token that comes next.</summary>
    protected Token Current => tokens[_at];

    /// <summary>For each macro around the current place, the special names that it uses.</summary>
    protected Stack<HashSet<string>> MacroUses { get; } = new();

    /// <summary>Takes the next token.</summary>
    protected Token Take() => tokens[_at].Kind == TokenKind.End ? tokens[_at] : tokens[_at++];

    /// <summary>Whether the next token is this keyword.</summary>
    protected bool IsName(string name) => Current.Kind == TokenKind.Name && Current.Text == name;

    /// <summary>Whether the next token is this operator.</summary>
    protected bool IsOperator(string text) => Current.Kind == TokenKind.Operator && Current.Text == text;

    /// <summary>Takes a keyword if it comes next.</summary>
    protected bool TakeName(string name)
    {
        var takes = IsName(name);
        _at += takes ? 1 : 0;
        return takes;
    }

    /// <summary>Takes an operator if it comes next.</summary>
    protected bool TakeOperator(string text)
    {
        var takes = IsOperator(text);
        _at += takes ? 1 : 0;
        return takes;
    }

    /// <summary>Takes what must come next.</summary>
    protected Token Expect(TokenKind kind, string what) => Current.Kind == kind ? Take() : throw Error($"expected {what}, not {Current}");

    /// <summary>Takes an operator that must come next.</summary>
    protected void ExpectOperator(string text)
    {
        if (!TakeOperator(text))
        {
            throw Error($"expected '{text}', not {Current}");
        }
    }

    /// <summary>An error at the next token.</summary>
    protected TemplateError Error(string message) => new(message) { Line = Current.Line };

    /// <summary>Counts what nests, so that no template exhausts the stack.</summary>
    protected void Enter()
    {
        if (++_nesting > MaxNesting)
        {
            throw Error($"nests more than {MaxNesting} deep");
        }
    }

    /// <summary>Comes back from <see cref="Enter"/>.</summary>
    protected void Leave() => _nesting--;

    /// <summary>One expression.</summary>
    protected Expression ParseExpression(bool withConditional = true)
    {
        Enter();
        var expression = withConditional ? ParseConditional() : ParseOr();
        Leave();
        return expression;
    }

    /// <summary>An expression, or several with commas between: a tuple.</summary>
    protected Expression ParseTuple(bool withConditional = true, bool inParentheses = false)
    {
        var line = Current.Line;
        var items = new List<Expression>();
        var isTuple = false;
        while (!EndsTuple())
        {
            items.Add(ParseExpression(withConditional));
            if (!TakeOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        if (isTuple || (items.Count == 0 && inParentheses))
        {
            return new SequenceLiteral(SequenceKind.Tuple, items, line);
        }

        return items.Count > 0 ? items[0] : throw Error($"expected an expression, not {Current}");
    }

    /// <summary>A value with what follows it: attributes, items, calls.</summary>
    protected Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            if (IsOperator("."))
            {
                value = ParseAttribute(value);
            }
            else if (IsOperator("["))
            {
                value = ParseItem(value);
            }
            else if (IsOperator("("))
            {
                value = ParseCall(value);
            }
            else
            {
                return value;
            }
        }
    }

    /// <summary>Filters, the first of which stands without its bar in a filter block.</summary>
    protected FilterExpression ParseFilters(Expression? value, bool firstWithoutBar)
    {
        FilterExpression? filter = null;
        while (firstWithoutBar || TakeOperator("|"))
        {
            firstWithoutBar = false;
            var name = Expect(TokenKind.Name, "the name of a filter");
            if (!Filters.All.ContainsKey(name.Text))
            {
                throw new TemplateError($"there is no filter '{name.Text}'") { Line = name.Line };
            }

            filter = new FilterExpression(filter ?? value, name.Text, IsOperator("(") ? ParseArguments() : ArgumentList.None, name.Line);
        }

        return filter ?? throw Error($"expected a filter, not {Current}");
    }

    /// <summary>A literal, a variable or an expression in brackets.</summary>
    protected Expression ParsePrimary()
    {
        var token = Take();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new Literal(true, token.Line),
                    "false" or "False" => new Literal(false, token.Line),
                    "none" or "None" => new Literal(null, token.Line),
                    _ => NewVariable(token),
                };
            case TokenKind.String:
                var text = token.Text;
                while (Current.Kind == TokenKind.String)
                {
                    text += Take().Text;
                }

                return new Literal(text, token.Line);
            case TokenKind.Integer:
                return new Literal(ParseInteger(token), token.Line);
            case TokenKind.Float:
                return new Literal(double.Parse(token.Text, CultureInfo.InvariantCulture), token.Line);
            case TokenKind.Operator when token.Text == "(":
                Enter();
                var inner = ParseTuple(inParentheses: true);
                Leave();
                ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return new SequenceLiteral(SequenceKind.List, ParseItems(), token.Line);
            case TokenKind.Operator when token.Text == "{":
                return ParseDict(token.Line);
            default:
                throw new TemplateError($"expected an expression, not {token}") { Line = token.Line };
        }
    }

    private static BigInteger ParseInteger(Token token)
    {
        var text = token.Text.Replace("_", "", StringComparison.Ordinal);
        try
        {
            if (text.Length > PyNumber.MaxDigits)
            {
                throw new FormatException();
            }

            return text.Length > 2 && text[0] == '0' && char.IsLetter(text[1])
                ? char.ToLowerInvariant(text[1]) switch
                {
                    'x' => BigInteger.Parse("0" + text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
                    'b' => Convert.ToUInt64(text[2..], 2),
                    _ => Convert.ToUInt64(text[2..], 8),
                }
                : BigInteger.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is FormatException or OverflowException or ArgumentException)
        {
            throw new TemplateError($"'{text}' is not a whole number that can be computed with") { Line = token.Line };
        }
    }

    private Variable NewVariable(Token token)
    {
        if (token.Text is "varargs" or "kwargs" or "caller")
        {
            foreach (var uses in MacroUses)
            {
                uses.Add(token.Text);
            }
        }

        return new Variable(token.Text, token.Line);
    }

    private bool EndsTuple() =>
        Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.End || IsOperator(")") || IsName("recursive");

    private Expression ParseConditional()
    {
        var line = Current.Line;
        var value = ParseOr();
        while (TakeName("if"))
        {
            var test = ParseOr();
            Expression? otherwise = null;
            if (TakeName("else"))
            {
                Enter();
                otherwise = ParseConditional();
                Leave();
            }

            value = new Conditional(test, value, otherwise, line);
        }

        return value;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (IsName("or"))
        {
            var line = Take().Line;
            left = new Binary("or", left, ParseAnd(), line);
        }

        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (IsName("and"))
        {
            var line = Take().Line;
            left = new Binary("and", left, ParseNot(), line);
        }

        return left;
    }

    private Expression ParseNot()
    {
        var line = Current.Line;
        if (!TakeName("not"))
        {
            return ParseComparison();
        }

        Enter();
        var operand = ParseNot();
        Leave();
        return new Unary("not", operand, line);
    }

    private Expression ParseComparison()
    {
        var line = Current.Line;
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (TakeComparison() is { } comparison)
        {
            rest.Add((comparison, ParseSum()));
        }

        return rest.Count == 0 ? first : new Comparison(first, rest, line);
    }

    private string? TakeComparison()
    {
        if (Current.Kind == TokenKind.Operator && Current.Text is "==" or "!=" or "<" or "<=" or ">" or ">=")
        {
            return Take().Text;
        }

        if (TakeName("in"))
        {
            return "in";
        }

        if (IsName("not") && tokens[_at + 1] is { Kind: TokenKind.Name, Text: "in" })
        {
            _at += 2;
            return "not in";
        }

        return null;
    }

    private Expression ParseSum() => ParseLeft(ParseConcatenation, "+", "-");

    private Expression ParseConcatenation()
    {
        var line = Current.Line;
        var parts = new List<Expression> { ParseProduct() };
        while (TakeOperator("~"))
        {
            parts.Add(ParseProduct());
        }

        return parts.Count == 1 ? parts[0] : new Concatenation(parts, line);
    }

    private Expression ParseProduct() => ParseLeft(ParsePower, "*", "/", "//", "%");

    private Expression ParsePower() => ParseLeft(() => ParseUnary(), "**");

    private Expression ParseLeft(Func<Expression> parse, params ReadOnlySpan<string> operators)
    {
        var left = parse();
        while (Current.Kind == TokenKind.Operator && operators.Contains(Current.Text))
        {
            var token = Take();
            left = new Binary(token.Text, left, parse(), token.Line);
        }

        return left;
    }

    private Expression ParseUnary(bool withFilters = true)
    {
        var line = Current.Line;
        Expression value;
        if (IsOperator("-") || IsOperator("+"))
        {
            var sign = Take().Text;
            Enter();
            value = new Unary(sign, ParseUnary(withFilters: false), line);
            Leave();
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParsePostfix(value);
        return withFilters ? ParseFiltersAndTests(value) : value;
    }

    private Expression ParseFiltersAndTests(Expression value)
    {
        while (true)
        {
            if (IsOperator("|"))
            {
                value = ParseFilters(value, firstWithoutBar: false);
            }
            else if (IsName("is"))
            {
                value = ParseTest(value);
            }
            else if (IsOperator("("))
            {
                value = ParseCall(value);
            }
            else
            {
                return value;
            }
        }
    }

    private Expression ParseTest(Expression value)
    {
        var line = Take().Line;
        var negated = TakeName("not");
        var name = Expect(TokenKind.Name, "the name of a test");
        if (!Tests.All.ContainsKey(name.Text))
        {
            throw new TemplateError($"there is no test '{name.Text}'") { Line = name.Line };
        }

        var arguments = ArgumentList.None;
        if (IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (Current.Kind is TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float || IsOperator("[") || IsOperator("{"))
        {
            if (IsName("is"))
            {
                throw Error("tests cannot be chained with 'is'");
            }

            if (!IsName("else") && !IsName("or") && !IsName("and"))
            {
                arguments = new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null);
            }
        }

        var test = new TestExpression(value, name.Text, arguments, line);
        return negated ? new Unary("not", test, line) : test;
    }

    private Expression ParseAttribute(Expression target)
    {
        var line = Take().Line;
        var name = Take();
        return name.Kind switch
        {
            TokenKind.Name => new AttributeAccess(target, name.Text, line),
            TokenKind.Integer => new ItemAccess(target, new Literal(ParseInteger(name), line), line),
            _ => throw new TemplateError($"expected a name or a number after the point, not {name}") { Line = name.Line },
        };
    }

    private ItemAccess ParseItem(Expression target)
    {
        var line = Take().Line;
        var indices = new List<Expression>();
        while (!IsOperator("]"))
        {
            if (indices.Count > 0)
            {
                ExpectOperator(",");
            }

            indices.Add(ParseSubscript());
        }

        ExpectOperator("]");
        return new ItemAccess(target, indices.Count == 1 ? indices[0] : new SequenceLiteral(SequenceKind.Tuple, indices, line), line);
    }

    private Expression ParseSubscript()
    {
        var line = Current.Line;
        var start = IsOperator(":") ? null : ParseExpression();
        if (!TakeOperator(":"))
        {
            return start!;
        }

        var stop = EndsSubscript() || IsOperator(":") ? null : ParseExpression();
        var step = !TakeOperator(":") || EndsSubscript() ? null : ParseExpression();
        return new SliceExpression(start, stop, step, line);

        bool EndsSubscript() => IsOperator("]") || IsOperator(",");
    }

    private CallExpression ParseCall(Expression target)
    {
        var line = Current.Line;
        return new CallExpression(target, ParseArguments(), line);
    }

    private ArgumentList ParseArguments()
    {
        ExpectOperator("(");
        var positional = new List<Expression>();
        var named = new List<(string, Expression)>();
        Expression? morePositional = null, moreNamed = null;
        while (!IsOperator(")"))
        {
            var complete = moreNamed is not null;
            if (TakeOperator("**"))
            {
                moreNamed = ParseExpression();
            }
            else if (TakeOperator("*"))
            {
                complete |= morePositional is not null;
                morePositional = ParseExpression();
            }
            else if (Current.Kind == TokenKind.Name && tokens[_at + 1] is { Kind: TokenKind.Operator, Text: "=" })
            {
                var name = Take().Text;
                Take();
                named.Add((name, ParseExpression()));
            }
            else
            {
                complete |= named.Count > 0 || morePositional is not null;
                positional.Add(ParseExpression());
            }

            if (complete)
            {
                throw Error("arguments of a call must be in the order: plain ones, named ones, *more, **more");
            }

            if (!IsOperator(")"))
            {
                ExpectOperator(",");
            }
        }

        ExpectOperator(")");
        return new ArgumentList(positional, named, morePositional, moreNamed);
    }

    private List<Expression> ParseItems()
    {
        var items = new List<Expression>();
        while (!TakeOperator("]"))
        {
            items.Add(ParseExpression());
            if (!IsOperator("]"))
            {
                ExpectOperator(",");
            }
        }

        return items;
    }

    private DictLiteral ParseDict(int line)
    {
        var entries = new List<(Expression, Expression)>();
        while (!TakeOperator("}"))
        {
            var key = ParseExpression();
            ExpectOperator(":");
            entries.Add((key, ParseExpression()));
            if (!IsOperator("}"))
            {
                ExpectOperator(",");
            }
        }

        return new DictLiteral(entries, line);
    }
}
