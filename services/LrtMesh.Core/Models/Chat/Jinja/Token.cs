namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Kinds of token.</summary>
internal enum TokenKind
{
    /// <summary>Text between tags.</summary>
    Data,

    /// <summary>{%</summary>
    BlockBegin,

    /// <summary>%}</summary>
    BlockEnd,

    /// <summary>{{</summary>
    VariableBegin,

    /// <summary>}}</summary>
    VariableEnd,

    /// <summary>A name or a keyword.</summary>
    Name,

    /// <summary>A string, without quotes and escapes.</summary>
    String,

    /// <summary>An integer.</summary>
    Integer,

    /// <summary>A number with a point or an exponent.</summary>
    Float,

    /// <summary>An operator or a bracket.</summary>
    Operator,

    /// <summary>The end of the template.</summary>
    End,
}

/// <summary>A piece of a template.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">What it says.</param>
/// <param name="Line">Where it starts, from 1.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Line)
{
    /// <summary>What it says, for an error.</summary>
    public override string ToString() => Kind switch
    {
        TokenKind.End => "the end of the template",
        TokenKind.BlockEnd => "'%}'",
        TokenKind.VariableEnd => "'}}'",
        TokenKind.String => $"the string '{Text}'",
        TokenKind.Data => "text",
        _ => $"'{Text}'",
    };
}
