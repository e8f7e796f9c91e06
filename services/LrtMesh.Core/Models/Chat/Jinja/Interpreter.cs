using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Runs the statements of one rendering.</summary>
internal sealed class Interpreter
{
    private enum Flow
    {
        GoesOn,
        Breaks,
        Continues,
    }

    private readonly Budget _budget = new();
    private readonly Evaluator _evaluator;
    private StringBuilder _output = new();

    private Interpreter() => _evaluator = new Evaluator(_budget);

    /// <summary>Renders a template.</summary>
    /// <param name="template">Its statements.</param>
    /// <param name="variables">What it is given.</param>
    /// <param name="clock">What <c>strftime_now</c> reads.</param>
    /// <exception cref="TemplateError">With the line.</exception>
    public static string Render(IReadOnlyList<Statement> template, IEnumerable<KeyValuePair<string, object?>> variables, TimeProvider clock)
    {
        var interpreter = new Interpreter();
        var globals = new Scope(null);
        foreach (var (name, value) in Globals(interpreter._budget, clock).Concat(variables))
        {
            globals.Set(name, value);
        }

        try
        {
            interpreter.Run(template, new Scope(globals));
            return interpreter._output.ToString();
        }
        catch (TemplateError e) when (e.Line == 0)
        {
            throw new TemplateError(e.Message) { Line = interpreter._evaluator.Line, Raised = e.Raised };
        }
        catch (OutOfMemoryException)
        {
            throw new TemplateError("takes more memory than there is") { Line = interpreter._evaluator.Line };
        }
    }

    private static Dictionary<string, object?> Globals(Budget budget, TimeProvider clock)
    {
        var globals = new Dictionary<string, object?>();
        void Add(string name, Func<Arguments, object?> body) => globals.Add(name, new PyFunction(name, body));
        Add("range", arguments => Ranges.Create(arguments, budget));
        Add("dict", arguments => MakeDict(arguments, budget));
        Add("namespace", arguments =>
        {
            var made = new Namespace();
            foreach (var (key, value) in MakeDict(arguments, budget).Entries)
            {
                made.Attributes[PyRepr.Str(key, budget)] = value;
            }

            return made;
        });
        Add("raise_exception", arguments =>
        {
            arguments.Check(1, "message");
            throw new TemplateError(PyRepr.Str(arguments.Required(0, "message"), budget)) { Raised = true };
        });
        Add("strftime_now", arguments =>
        {
            arguments.Check(1, "format");
            return Strftime.Write(clock.GetLocalNow(), arguments.Text(0, "format"), budget);
        });
        return globals;
    }

    private static PyDict MakeDict(Arguments arguments, Budget budget)
    {
        var dict = new PyDict();
        if (arguments.Positional.Count > 1)
        {
            throw new TemplateError($"dict expected at most 1 argument, got {arguments.Positional.Count}");
        }

        if (arguments.Positional is [PyDict given])
        {
            foreach (var (key, value) in given.Entries)
            {
                dict.Set(key, value);
            }
        }
        else if (arguments.Positional is [var pairs])
        {
            foreach (var pair in PyType.ToList(pairs, budget))
            {
                var two = PyType.ToList(pair, budget);
                dict.Set(two[0], two.Count == 2 ? two[1] : throw new TemplateError("dictionary update sequence element must have length 2"));
            }
        }

        foreach (var (name, value) in arguments.Named)
        {
            dict.Set(name, value);
        }

        return dict;
    }

    private Flow Run(IReadOnlyList<Statement> body, Scope scope)
    {
        foreach (var statement in body)
        {
            var flow = Run(statement, scope);
            if (flow != Flow.GoesOn)
            {
                return flow;
            }
        }

        return Flow.GoesOn;
    }

    private Flow Run(Statement statement, Scope scope)
    {
        _budget.Step();
        _evaluator.Line = statement.Line;
        switch (statement)
        {
            case DataStatement data:
                Print(data.Text);
                return Flow.GoesOn;
            case PrintStatement print:
                Print(PyRepr.Str(_evaluator.Evaluate(print.Value, scope), _budget));
                return Flow.GoesOn;
            case IfStatement choice:
                foreach (var (test, body) in choice.Branches)
                {
                    if (test is null || PyType.IsTrue(_evaluator.Evaluate(test, scope)))
                    {
                        return Nested(body, scope);
                    }
                }

                return Flow.GoesOn;
            case ForStatement loop:
                RunLoop(loop, _evaluator.Evaluate(loop.Over, scope), scope, 0);
                return Flow.GoesOn;
            case LoopControl control:
                return control.Breaks ? Flow.Breaks : Flow.Continues;
            case SetStatement set:
                Assign(set.Target, _evaluator.Evaluate(set.Value, scope), scope);
                return Flow.GoesOn;
            case SetBlock block:
                object? text = Capture(block.Body, new Scope(scope));
                Assign(block.Target, block.Filter is null ? text : _evaluator.Filter(block.Filter, text, scope), scope);
                return Flow.GoesOn;
            case WithStatement with:
                var inner = new Scope(scope);
                foreach (var (target, value) in with.Assignments)
                {
                    Assign(target, _evaluator.Evaluate(value, scope), inner);
                }

                return Nested(with.Body, inner);
            case MacroStatement macro:
                scope.Set(macro.Definition.Name!, Macro(macro.Definition, scope));
                return Flow.GoesOn;
            case CallBlock call:
                Print(PyRepr.Str(_evaluator.Call(call.Call, scope, Macro(call.Caller, scope)), _budget));
                return Flow.GoesOn;
            case FilterBlock filter:
                Print(PyRepr.Str(_evaluator.Filter(filter.Filter, Capture(filter.Body, new Scope(scope)), scope), _budget));
                return Flow.GoesOn;
            case GenerationBlock generation:
                return Nested(generation.Body, new Scope(scope));
            default:
                throw new InvalidOperationException($"{statement.GetType().Name} is not run");
        }
    }

    private Flow Nested(IReadOnlyList<Statement> body, Scope scope)
    {
        _budget.Enter();
        var flow = Run(body, scope);
        _budget.Leave();
        return flow;
    }

    private void RunLoop(ForStatement loop, object? over, Scope scope, int depth)
    {
        _budget.Enter();
        var items = PyType.ToList(over, _budget);
        if (loop.Test is not null)
        {
            items = items.FindAll(item =>
            {
                var tested = new Scope(scope);
                Assign(loop.Target, item, tested);
                return PyType.IsTrue(_evaluator.Evaluate(loop.Test, tested));
            });
        }

        Func<object?, object?>? again = !loop.Recursive ? null : more => Captured(() => RunLoop(loop, more, scope, depth + 1));
        var state = new LoopState(items, depth, again, _budget);
        for (var i = 0; i < items.Count; i++)
        {
            _budget.Step();
            state.Index = i;
            var round = new Scope(scope);
            round.Set("loop", state);
            Assign(loop.Target, items[i], round);
            if (Run(loop.Body, round) == Flow.Breaks)
            {
                break;
            }
        }

        if (items.Count == 0)
        {
            Run(loop.Else, new Scope(scope));
        }

        _budget.Leave();
    }

    private void Assign(AssignmentTarget target, object? value, Scope scope)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Set(name.Name, value);
                break;
            case NamespaceTarget attribute:
                if (!scope.TryGet(attribute.Name, out var holder) || holder is not Namespace names)
                {
                    throw new TemplateError("cannot assign attribute on non-namespace object");
                }

                names.Attributes[attribute.Attribute] = value;
                break;
            case TupleTarget tuple:
                var items = PyType.ToList(value is Undefined missing ? throw missing.Error() : value, _budget);
                if (items.Count != tuple.Items.Count)
                {
                    throw new TemplateError(items.Count > tuple.Items.Count
                        ? $"too many values to unpack (expected {tuple.Items.Count})"
                        : $"not enough values to unpack (expected {tuple.Items.Count}, got {items.Count})");
                }

                for (var i = 0; i < items.Count; i++)
                {
                    Assign(tuple.Items[i], items[i], scope);
                }

                break;
        }
    }

    private PyFunction Macro(MacroDefinition definition, Scope around)
    {
        var name = definition.Name ?? "caller";
        return new PyFunction(name, arguments =>
        {
            var scope = new Scope(around);
            var named = new Dictionary<string, object?>(arguments.Named);
            var (parameters, uses) = (definition.Parameters, definition.Uses);
            for (var i = 0; i < parameters.Count; i++)
            {
                var parameter = parameters[i];
                scope.Set(
                    parameter.Name,
                    i < arguments.Positional.Count ? arguments.Positional[i]
                    : named.Remove(parameter.Name, out var value) ? value
                    : parameter.Default is not null ? _evaluator.Evaluate(parameter.Default, scope)
                    : new Undefined($"parameter {PyRepr.Quote(parameter.Name)} was not provided"));
            }

            if (uses.Contains("caller"))
            {
                scope.Set("caller", named.Remove("caller", out var caller) ? caller : new Undefined("No caller defined"));
            }

            if (uses.Contains("kwargs"))
            {
                var rest = new PyDict();
                foreach (var (key, value) in named)
                {
                    rest.Set(key, value);
                }

                scope.Set("kwargs", rest);
            }
            else if (named.Count > 0)
            {
                throw new TemplateError($"macro {PyRepr.Quote(name)} takes no keyword argument {PyRepr.Quote(named.Keys.First())}");
            }

            if (uses.Contains("varargs"))
            {
                scope.Set("varargs", PySequence.Tuple([.. arguments.Positional.Skip(parameters.Count)]));
            }
            else if (arguments.Positional.Count > parameters.Count)
            {
                throw new TemplateError($"macro {PyRepr.Quote(name)} takes not more than {parameters.Count} argument(s)");
            }

            return Capture(definition.Body, scope);
        });
    }

    private string Capture(IReadOnlyList<Statement> body, Scope scope) => Captured(() => Run(body, scope));

    /// <summary>What some work prints, instead of printing it.</summary>
    private string Captured(Action work)
    {
        _budget.Enter();
        var outer = _output;
        _output = new StringBuilder();
        work();
        var text = _output.ToString();
        _output = outer;
        _budget.Leave();
        return text;
    }

    private void Print(string text)
    {
        _budget.Text((long)_output.Length + text.Length > Budget.MaxText ? long.MaxValue : text.Length);
        _output.Append(text);
    }
}
