using System.Diagnostics;
using System.Text.Json;
using CsCheck;
using LrtMesh.Core.Models.Chat;
using LrtMesh.Core.Verification;
using Xunit;

namespace LrtMesh.Core.Tests.Chat;

/// <summary>Renderings as Jinja2 gives them, errors that say where, and bounds that hold for any template.</summary>
public sealed class ChatTemplateTests
{
    [Theory]
    [InlineData("chat_templates.json", 85)]
    [InlineData("chat_families.json", 60)]
    public void Templates_of_well_known_families_render_as_the_reference_does(string file, int atLeast)
    {
        var report = ChatCases.Run(Path.Combine(GoldenFiles.Folder, file));
        Assert.Empty(report.Failed);
        Assert.True(report.Cases >= atLeast, $"{report.Cases} cases");
    }

    // Each was computed by Jinja2 3.1.6 in the sandbox that transformers sets up.
    [Theory]
    [InlineData("{{ 'a😀b'|length }}{{ 'a😀b'[1] }}{{ 'a😀b'[::-1] }}{{ 'a😀b'.find('b') }}", "3😀b😀a2")]
    [InlineData("{{ [1.0, none, true, 'it\\'s', (1,), {'k': 1e16}] }}", "[1.0, None, True, \"it's\", (1,), {'k': 1e+16}]")]
    [InlineData("{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "-4 2 3.5 1024 0.5")]
    [InlineData("{{ ' a  b c '.split(none, 1) }}{{ 'a,b'.rsplit(',', 1) }}", "['a', 'b c ']['a', 'b']")]
    [InlineData("{{ {'é': [1, 1.0, '\\u2028<&>']}|tojson }}", "{\"é\": [1, 1.0, \"\u2028<&>\"]}")]
    [InlineData("{{ {'a': [], 'b': {'c': 1}}|tojson(indent=2) }}", "{\n  \"a\": [],\n  \"b\": {\n    \"c\": 1\n  }\n}")]
    [InlineData("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "2 3 1")]
    [InlineData("{% set n = namespace(x=1) %}{% for i in [1, 2] %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}", "4")]
    [InlineData("{% for i in range(9) if i is odd %}{% if i == 5 %}{% continue %}{% elif i == 7 %}{% break %}{% endif %}{{ loop.index }}{{ i }} {% endfor %}", "11 23 ")]
    [InlineData("a\n  {% if true %}\n  x\n  {% endif %}  \nb\n", "a\n  x\n  \nb")]
    [InlineData("  {%+ if true %}\n x {%- endif +%}\nb", "   x\nb")]
    [InlineData("a\n  {% raw %}\n {{ x }} \n  {% endraw %}\nb", "a\n\n {{ x }} \nb")]
    [InlineData("{% macro m(a, b=a) %}<{{ a }}{{ b }}{{ caller(7) }}>{% endmacro %}{% call(x) m(1) %}[{{ x }}]{% endcall %}", "<11[7]>")]
    [InlineData("{% if [1]|select('odd') %}a generator is true{% endif %}", "a generator is true")]
    [InlineData("{{ ('<'|e) + '<' }}{{ ('<'|e) ~ '<' }}", "&lt;&lt;&lt;<")]
    [InlineData("{{ 'ß'.upper() }}{{ 'ΑΣ'.lower() }}{{ \"it's a-b\"|title }}{{ \"it's a-b\".title() }}", "SSας" + "It's A-BIt'S A-B")]
    [InlineData("{{ nope }}{{ nope is defined }}{{ nope|default('d') }}{{ nope ~ 'x' }}{{ messages[9] is defined }}", "Falsedx" + "False")]
    [InlineData("{{ messages[-1].role }}{{ messages[:-1]|length }}{{ messages|map(attribute='role')|join(',') }}", "user0user")]
    [InlineData("{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "1")]
    [InlineData("{{ strftime_now('%d %b %Y, %-I %p') }}", "05 Mar 2026, 2 PM")]
    public void Values_behave_as_in_Python(string template, string expected) => Assert.Equal(expected, Render(template));

    [Theory]
    [InlineData("\n\n{{ raise_exception('no ' ~ messages[0].role) }}", "chat: no user", "line 3")]
    [InlineData("\n{{ messages[0].nope.x }}", "'dict object' has no attribute 'nope'", "line 2")]
    [InlineData("{{ nope + 'x' }}", "'nope' is undefined", "line 1")]
    [InlineData("{{ 'a' + 1 }}", "can only concatenate str (not \"int\") to str", "line 1")]
    [InlineData("{{ 1 // 0 }}", "integer division or modulo by zero", "line 1")]
    [InlineData("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe.", "line 1")]
    [InlineData("{{ messages[0].__class__ }}{{ ''.__class__.__mro__ }}", "unsafe", "line 1")]
    [InlineData("{{ messages[0].update({}) }}", "access to attribute 'update' of 'dict' object is unsafe.", "line 1")]
    [InlineData("{{ nope|tojson }}", "Object of type Undefined is not JSON serializable", "line 1")]
    public void What_a_template_refuses_is_the_callers_error_with_the_line(string template, params string[] says)
    {
        var error = Assert.Throws<LrtMeshException>(() => Render(template));
        Assert.Equal(ErrorReason.InvalidArgument, error.Reason);
        Assert.All(says.Append("the test"), said => Assert.Contains(said, error.Message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("a\n{% if x %}", "'endif' is missing", "line 2")]
    [InlineData("{{ x", "'}}' is missing", "line 1")]
    [InlineData("{{ x|nofilter }}", "no filter 'nofilter'", "line 1")]
    [InlineData("{{ x is notest }}", "no test 'notest'", "line 1")]
    [InlineData("\n\n{% include 'other' %}", "'include' needs other files", "line 3")]
    [InlineData("{% break %}", "outside a loop", "line 1")]
    [InlineData("{{ (1] }}", "']' stands where ')' would close", "line 1")]
    public void A_template_that_cannot_be_read_is_refused_with_the_line(string template, params string[] says)
    {
        var error = Assert.Throws<LrtMeshException>(() => Render(template));
        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.All(says.Append("the test"), said => Assert.Contains(said, error.Message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes more than")]
    [InlineData("{% for a in range(9999) %}{{ 'xxxxxxxxxx' * 99999 }}{% endfor %}", "characters")]
    [InlineData("{{ 'x' * 999999999 }}", "characters")]
    [InlineData("{{ [1] * 999999999 }}", "takes more than")]
    [InlineData("{{ 10 ** 9999999 }}", "digits")]
    [InlineData("{{ '%999999999d' % 1 }}", "characters")]
    [InlineData("{{ 'x'.center(999999999) }}", "characters")]
    [InlineData("{{ range(10000000) }}", "MAX_RANGE")]
    [InlineData("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "deep")]
    [InlineData("{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}", "deep")]
    [InlineData("{% set n = namespace(x=[]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}", "more than")]
    [InlineData("{% set n = namespace(x=[], y=[]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}", "takes more than")]
    [InlineData("{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", "characters")]
    public void What_a_template_takes_is_bounded(string template, string says)
    {
        var clock = Stopwatch.StartNew();
        var error = Assert.Throws<LrtMeshException>(() => Render(template));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{clock.Elapsed}");
    }

    [Fact]
    public void What_nests_too_deep_to_be_read_is_refused()
    {
        foreach (var template in new[]
        {
            "{{ " + new string('(', 100_000), "{{ " + new string('[', 100_000), "{{ " + new string('-', 100_000) + "1 }}", "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "1 }}",
            string.Concat(Enumerable.Repeat("{% if 1 %}", 100_000)), "{{ x" + string.Concat(Enumerable.Repeat("|e", 100_000)) + " }}", "{{ x" + string.Concat(Enumerable.Repeat(".y", 100_000)) + " }}",
            "{{ 1" + string.Concat(Enumerable.Repeat("+1", 100_000)) + " }}", "{{ 1" + string.Concat(Enumerable.Repeat(" if 1 else 1", 50_000)) + " }}",
        })
        {
            Assert.Throws<LrtMeshException>(() => Render(template));
        }
    }

    /// <summary>Pieces of templates in any order: what comes out is a text or the one exception, soon.</summary>
    [Fact]
    public void No_template_escapes()
    {
        var piece = AnyOf(
            "{%", "%}", "{{", "}}", "{#", "#}", "{%-", "-%}", "{{-", "-}}", " ", "\n", "if ", "else", "elif x", "endif", "for x in ", "endfor", "set x = ", "endset", "macro m(a)", "endmacro", "call m()",
            "endcall", "filter upper", "endfilter", "raw", "endraw", "messages", "x", "m", "loop", ".role", ".items()", "[0]", "[::-1]", "[1:", "]", "(", ")", "|", "|tojson", "|length", "|join(',')", "|sort", "|map('upper')",
            "|list", "|default(1)", "is defined", "is ", "not ", "in ", "and ", "or ", "+", "-", "*", "**", "/", "//", "%", "~", "==", "<", "'a'", "\"b", "'%s %d'", "1", "0", "2.5", "9999999999", "none", "true", ",", ":", "{", "}", "[", "=",
            "namespace(a=1)", "range(3)", "loop.index", "break", "continue", "generation", "endgeneration", "raise_exception('r')", "dict(a=1)", "é😀", "\\", "|indent", "|replace('a','b')", "|batch(2)", ".split()", ".format(1)", "recursive");
        piece.Array[0, 40].Sample(
            pieces =>
            {
                try
                {
                    Render(string.Concat(pieces));
                }
                catch (LrtMeshException)
                {
                    // Refused.
                }
            },
            iter: 20_000);
    }

    /// <summary>Expressions that are well formed, so that most of them are computed.</summary>
    [Fact]
    public void No_expression_escapes()
    {
        var atom = AnyOf(
            "messages", "nope", "'ab'", "''", "1", "-3", "2.5", "true", "none", "[3, 1, 2]", "[]", "{'a': 1}", "(1, 'x')", "range(4)", "namespace(q=1)", "'é😀ß'", "messages[0]", "[[1], [2, 3]]", "'%s-%d'", "9 ** 99", "1e308", "messages|map('upper')", "range", "('<'|safe)");
        var after = AnyOf(
            "", "|length", "|list", "|sort", "|first", "|last", "|upper", "|tojson", "|string", "|int", "|float", "|abs", "|round(1)", "|trim", "|title", "|join('-')", "|reverse", "|unique", "|sum", "|min", "|items", "|dictsort", "|indent", "|e", "|batch(2)", "|slice(2)",
            "|map(attribute='a')", "|selectattr('a')", "|reject('none')", "|groupby(0)", "|replace('a', 'b')", "|truncate(3)", "|format(1, 2)", "[0]", "[-1]", "[1:]", "[::-2]", ".a", ".items()", ".keys()", ".split()", ".upper()", ".strip('a')", ".join(['x'])", ".count(1)", ".index(1)", ".title()",
            " is odd", " is iterable", " is in [1]", "()", ".zfill(5)", ".center(9)", ".partition('b')", ".splitlines()", ".find('b', 1)", "|urlencode", "|wordcount", "|attr('role')", "|default('z', true)");
        var symbol = AnyOf("+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or", "if", "**");
        Gen.Select(atom, after.Array[0, 3], symbol, atom, after.Array[0, 2]).Sample(
            (left, leftAfter, op, right, rightAfter) =>
            {
                try
                {
                    Render("{{ (" + left + string.Concat(leftAfter) + ") " + op + " (" + right + string.Concat(rightAfter) + ") }}");
                }
                catch (LrtMeshException)
                {
                    // Refused.
                }
            },
            iter: 20_000);
    }

    private static Gen<string> AnyOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);

    private static string Render(string template)
    {
        using var messages = JsonDocument.Parse("""[{"role": "user", "content": "Hello"}]""");
        return ChatTemplate.Parse(template, "the test").Render([KeyValuePair.Create("messages", messages.RootElement)], "chat", new FixedClock());
    }

    private sealed class FixedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2026, 3, 5, 14, 7, 9, TimeSpan.Zero);
    }
}
