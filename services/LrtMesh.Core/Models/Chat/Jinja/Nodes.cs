namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>An expression.</summary>
internal abstract record Expression(int Line);

/// <summary>A literal.</summary>
internal sealed record Literal(object? Value, int Line) : Expression(Line);

/// <summary>A variable.</summary>
internal sealed record Variable(string Name, int Line) : Expression(Line);

/// <summary>[a, b] or (a, b).</summary>
internal sealed record SequenceLiteral(SequenceKind Kind, IReadOnlyList<Expression> Items, int Line) : Expression(Line);

/// <summary>{key: value}.</summary>
internal sealed record DictLiteral(IReadOnlyList<(Expression Key, Expression Value)> Entries, int Line) : Expression(Line);

/// <summary>-x, +x or not x.</summary>
internal sealed record Unary(string Operator, Expression Operand, int Line) : Expression(Line);

/// <summary>An operator of arithmetic, or "and", "or".</summary>
internal sealed record Binary(string Operator, Expression Left, Expression Right, int Line) : Expression(Line);

/// <summary>a ~ b ~ c.</summary>
internal sealed record Concatenation(IReadOnlyList<Expression> Parts, int Line) : Expression(Line);

/// <summary>a &lt; b &lt;= c, a in b.</summary>
internal sealed record Comparison(Expression First, IReadOnlyList<(string Operator, Expression Operand)> Rest, int Line) : Expression(Line);

/// <summary>a if test else b; without else the value is undefined.</summary>
internal sealed record Conditional(Expression Test, Expression Then, Expression? Else, int Line) : Expression(Line);

/// <summary>x.name.</summary>
internal sealed record AttributeAccess(Expression Target, string Name, int Line) : Expression(Line);

/// <summary>x[index].</summary>
internal sealed record ItemAccess(Expression Target, Expression Index, int Line) : Expression(Line);

/// <summary>start:stop:step within brackets.</summary>
internal sealed record SliceExpression(Expression? Start, Expression? Stop, Expression? Step, int Line) : Expression(Line);

/// <summary>f(...).</summary>
internal sealed record CallExpression(Expression Target, ArgumentList Arguments, int Line) : Expression(Line);

/// <summary>x | filter(...); without a value in a filter block.</summary>
internal sealed record FilterExpression(Expression? Value, string Name, ArgumentList Arguments, int Line) : Expression(Line);

/// <summary>x is test(...).</summary>
internal sealed record TestExpression(Expression Value, string Name, ArgumentList Arguments, int Line) : Expression(Line);

/// <summary>What stands between the parentheses of a call.</summary>
internal sealed record ArgumentList(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named, Expression? MorePositional, Expression? MoreNamed)
{
    public static ArgumentList None { get; } = new([], [], null, null);
}

/// <summary>A statement.</summary>
internal abstract record Statement(int Line);

/// <summary>Text between tags.</summary>
internal sealed record DataStatement(string Text, int Line) : Statement(Line);

/// <summary>{{ value }}.</summary>
internal sealed record PrintStatement(Expression Value, int Line) : Statement(Line);

/// <summary>{% if %}: the first branch whose test holds; a null test is "else".</summary>
internal sealed record IfStatement(IReadOnlyList<(Expression? Test, IReadOnlyList<Statement> Body)> Branches, int Line) : Statement(Line);

/// <summary>{% for %}.</summary>
internal sealed record ForStatement(
    AssignmentTarget Target, Expression Over, Expression? Test, bool Recursive, IReadOnlyList<Statement> Body, IReadOnlyList<Statement> Else, int Line) : Statement(Line);

/// <summary>{% break %} and {% continue %}.</summary>
internal sealed record LoopControl(bool Breaks, int Line) : Statement(Line);

/// <summary>{% set target = value %}.</summary>
internal sealed record SetStatement(AssignmentTarget Target, Expression Value, int Line) : Statement(Line);

/// <summary>{% set target | filters %}...{% endset %}.</summary>
internal sealed record SetBlock(AssignmentTarget Target, FilterExpression? Filter, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

/// <summary>{% with %}.</summary>
internal sealed record WithStatement(IReadOnlyList<(AssignmentTarget Target, Expression Value)> Assignments, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

/// <summary>{% macro %}.</summary>
internal sealed record MacroStatement(MacroDefinition Definition, int Line) : Statement(Line);

/// <summary>{% call %}.</summary>
internal sealed record CallBlock(MacroDefinition Caller, CallExpression Call, int Line) : Statement(Line);

/// <summary>{% filter %}.</summary>
internal sealed record FilterBlock(FilterExpression Filter, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

/// <summary>{% generation %}: marks what the assistant says, for training; rendered as it is, in a scope of its own.</summary>
internal sealed record GenerationBlock(IReadOnlyList<Statement> Body, int Line) : Statement(Line);

/// <summary>A macro or what a call block passes as <c>caller</c>.</summary>
/// <param name="Name">Its name; null for a caller.</param>
/// <param name="Parameters">Names and defaults.</param>
/// <param name="Body">What it renders.</param>
/// <param name="Uses">Which of <c>varargs</c>, <c>kwargs</c> and <c>caller</c> its body names.</param>
internal sealed record MacroDefinition(
    string? Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body, IReadOnlySet<string> Uses);

/// <summary>What a value is assigned to.</summary>
internal abstract record AssignmentTarget;

/// <summary>A variable of the current scope.</summary>
internal sealed record NameTarget(string Name) : AssignmentTarget;

/// <summary>An attribute of a namespace.</summary>
internal sealed record NamespaceTarget(string Name, string Attribute) : AssignmentTarget;

/// <summary>Several, which take a sequence apart.</summary>
internal sealed record TupleTarget(IReadOnlyList<AssignmentTarget> Items) : AssignmentTarget;
