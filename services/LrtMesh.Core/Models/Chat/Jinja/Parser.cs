namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Reads statements: a template is a list of them.</summary>
internal sealed class Parser : ExpressionParser
{
    // Of tags that Jinja2 knows: why they are refused here.
    private static readonly Dictionary<string, string> _refused = new()
    {
        ["include"] = "needs other files, and a chat template stands alone",
        ["import"] = "needs other files, and a chat template stands alone",
        ["from"] = "needs other files, and a chat template stands alone",
        ["extends"] = "needs other files, and a chat template stands alone",
        ["block"] = "is for templates that extend others, and a chat template stands alone",
        ["autoescape"] = "is for HTML, and a chat template makes plain text",
    };

    private int _loops; // around the current place, within the current macro

    private Parser(IReadOnlyList<Token> tokens)
        : base(tokens)
    {
    }

    /// <summary>Reads a template.</summary>
    /// <exception cref="TemplateError">With the line.</exception>
    public static IReadOnlyList<Statement> Parse(string source)
    {
        var parser = new Parser(Lexer.Split(source));
        return parser.ParseBody([], "");
    }

    /// <summary>Statements up to one of the tags that end them; the tag's name is taken, what follows it is not.</summary>
    private List<Statement> ParseBody(string[] ends, string opened)
    {
        var line = Current.Line;
        var body = new List<Statement>();
        Enter();
        while (true)
        {
            var token = Take();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    body.Add(new DataStatement(token.Text, token.Line));
                    break;
                case TokenKind.VariableBegin:
                    body.Add(new PrintStatement(ParseTuple(), token.Line));
                    Expect(TokenKind.VariableEnd, "'}}'");
                    break;
                case TokenKind.BlockBegin when Current.Kind == TokenKind.Name && ends.Contains(Current.Text):
                    Leave();
                    return body;
                case TokenKind.BlockBegin:
                    var statement = ParseStatement();
                    if (statement is not null)
                    {
                        body.Add(statement);
                    }

                    Expect(TokenKind.BlockEnd, "'%}'");
                    break;
                case TokenKind.End when ends.Length == 0:
                    Leave();
                    return body;
                default:
                    throw new TemplateError($"'{opened}' has no end: '{ends[^1]}' is missing") { Line = line };
            }
        }
    }

    /// <summary>A block's body: from the end of its first tag, with the closing tag's name taken.</summary>
    private List<Statement> ParseBlock(string opened, params string[] ends)
    {
        TakeOperator(":");
        Expect(TokenKind.BlockEnd, "'%}'");
        return ParseBody(ends, opened);
    }

    private Statement? ParseStatement()
    {
        var tag = Expect(TokenKind.Name, "the name of a tag");
        switch (tag.Text)
        {
            case "if":
                return ParseIf(tag.Line);
            case "for":
                return ParseFor(tag.Line);
            case "set":
                return ParseSet(tag.Line);
            case "with":
                return ParseWith(tag.Line);
            case "macro":
                return ParseMacro(tag.Line);
            case "call":
                return ParseCallBlock(tag.Line);
            case "filter":
                var filter = ParseFilters(null, firstWithoutBar: true);
                var filtered = ParseBlock("filter", "endfilter");
                Take();
                return new FilterBlock(filter, filtered, tag.Line);
            case "generation":
                var generated = ParseBlock("generation", "endgeneration");
                Take();
                return new GenerationBlock(generated, tag.Line);
            case "print":
                var printed = new List<Expression> { ParseExpression() };
                while (TakeOperator(","))
                {
                    printed.Add(ParseExpression());
                }

                return new PrintStatement(new Concatenation(printed, tag.Line), tag.Line);
            case "break" or "continue" when _loops > 0:
                return new LoopControl(tag.Text == "break", tag.Line);
            case "break" or "continue":
                throw new TemplateError($"'{tag.Text}' stands outside a loop") { Line = tag.Line };
            default:
                throw new TemplateError(_refused.TryGetValue(tag.Text, out var why) ? $"the tag '{tag.Text}' {why}" : $"there is no tag '{tag.Text}'") { Line = tag.Line };
        }
    }

    private IfStatement ParseIf(int line)
    {
        var branches = new List<(Expression?, IReadOnlyList<Statement>)>();
        while (true)
        {
            var test = ParseTuple(withConditional: false);
            branches.Add((test, ParseBlock("if", "elif", "else", "endif")));
            var end = Take().Text;
            if (end == "elif")
            {
                continue;
            }

            if (end == "else")
            {
                branches.Add((null, ParseBlock("else", "endif")));
                Take();
            }

            return new IfStatement(branches, line);
        }
    }

    private ForStatement ParseFor(int line)
    {
        var target = ParseTarget();
        if (!TakeName("in"))
        {
            throw Error($"expected 'in', not {Current}");
        }

        var over = ParseTuple(withConditional: false);
        var test = TakeName("if") ? ParseExpression() : null;
        var recursive = TakeName("recursive");
        _loops++;
        var body = ParseBlock("for", "else", "endfor");
        _loops--;
        IReadOnlyList<Statement> otherwise = [];
        if (Take().Text == "else")
        {
            otherwise = ParseBlock("else", "endfor");
            Take();
        }

        return new ForStatement(target, over, test, recursive, body, otherwise, line);
    }

    private Statement ParseSet(int line)
    {
        var target = ParseTarget();
        if (TakeOperator("="))
        {
            return new SetStatement(target, ParseTuple(), line);
        }

        var filter = IsOperator("|") ? ParseFilters(null, firstWithoutBar: false) : null;
        var body = ParseBlock("set", "endset");
        Take();
        return new SetBlock(target, filter, body, line);
    }

    private WithStatement ParseWith(int line)
    {
        var assignments = new List<(AssignmentTarget, Expression)>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
            {
                ExpectOperator(",");
            }

            var name = Expect(TokenKind.Name, "a name");
            ExpectOperator("=");
            assignments.Add((new NameTarget(name.Text), ParseExpression()));
        }

        var body = ParseBlock("with", "endwith");
        Take();
        return new WithStatement(assignments, body, line);
    }

    private MacroStatement ParseMacro(int line)
    {
        var name = Expect(TokenKind.Name, "the macro's name").Text;
        return new MacroStatement(ParseDefinition(name, ParseParameters(), "macro", "endmacro"), line);
    }

    private CallBlock ParseCallBlock(int line)
    {
        var parameters = IsOperator("(") ? ParseParameters() : [];
        var call = ParseExpression() as CallExpression ?? throw new TemplateError("expected a call of a macro after 'call'") { Line = line };
        return new CallBlock(ParseDefinition(null, parameters, "call", "endcall"), call, line);
    }

    private MacroDefinition ParseDefinition(string? name, IReadOnlyList<(string, Expression?)> parameters, string opened, string end)
    {
        var uses = new HashSet<string>(StringComparer.Ordinal);
        MacroUses.Push(uses);
        var loops = _loops;
        _loops = 0;
        var body = ParseBlock(opened, end);
        Take();
        _loops = loops;
        MacroUses.Pop();
        return new MacroDefinition(name, parameters, body, uses);
    }

    private List<(string Name, Expression? Default)> ParseParameters()
    {
        ExpectOperator("(");
        var parameters = new List<(string Name, Expression? Default)>();
        while (!TakeOperator(")"))
        {
            if (parameters.Count > 0)
            {
                ExpectOperator(",");
            }

            var name = Expect(TokenKind.Name, "a parameter's name").Text;
            var value = TakeOperator("=") ? ParseExpression() : null;
            if (value is null && parameters.Any(p => p.Default is not null))
            {
                throw Error($"the parameter '{name}' needs a default, since one before it has one");
            }

            parameters.Add((name, value));
        }

        return parameters;
    }

    /// <summary>One target, or several with commas between.</summary>
    private AssignmentTarget ParseTarget()
    {
        var items = new List<AssignmentTarget>();
        var isTuple = false;
        do
        {
            if (items.Count > 0)
            {
                isTuple = true;
                if (Current.Kind == TokenKind.BlockEnd || IsName("in") || IsOperator("=") || IsOperator(")"))
                {
                    break; // a comma at the end
                }
            }

            items.Add(ParseOneTarget());
        }
        while (TakeOperator(","));

        return isTuple ? new TupleTarget(items) : items[0];
    }

    private AssignmentTarget ParseOneTarget()
    {
        if (TakeOperator("("))
        {
            Enter();
            var inner = ParseTarget();
            Leave();
            ExpectOperator(")");
            return inner;
        }

        var name = Expect(TokenKind.Name, "the name of a variable");
        if (name.Text is "true" or "false" or "none" or "True" or "False" or "None")
        {
            throw new TemplateError($"nothing can be assigned to {name}") { Line = name.Line };
        }

        return TakeOperator(".") ? new NamespaceTarget(name.Text, Expect(TokenKind.Name, "an attribute's name").Text) : new NameTarget(name.Text);
    }
}
