using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Computes expressions.</summary>
internal sealed class Evaluator(Budget budget)
{
    /// <summary>Line of what is computed, for errors.</summary>
    public int Line { get; set; }

    /// <summary>The value of an expression.</summary>
    public object? Evaluate(Expression expression, Scope scope)
    {
        budget.Step();
        switch (expression)
        {
            case Literal literal:
                return literal.Value;
            case Variable variable:
                return scope.TryGet(variable.Name, out var found) ? found : Undefined.Name(variable.Name);
        }

        budget.Enter();
        var value = Compute(expression, scope);
        budget.Leave();
        return value;
    }

    /// <summary>Applies a filter.</summary>
    /// <param name="filter">It and its arguments.</param>
    /// <param name="value">What goes through it, where it has no value of its own.</param>
    /// <param name="scope">Where its arguments are computed.</param>
    public object? Filter(FilterExpression filter, object? value, Scope scope)
    {
        budget.Enter();
        var inner = filter.Value switch
        {
            null => value,
            FilterExpression first => Filter(first, value, scope),
            var other => Evaluate(other, scope),
        };
        var arguments = Arguments(filter.Name, filter.Arguments, scope, null);
        Line = filter.Line;
        var result = Filters.All[filter.Name](inner, arguments, budget);
        budget.Leave();
        return result;
    }

    /// <summary>Calls a function.</summary>
    /// <param name="call">It and its arguments.</param>
    /// <param name="scope">Where they are computed.</param>
    /// <param name="caller">What a call block passes along.</param>
    public object? Call(CallExpression call, Scope scope, PyFunction? caller)
    {
        var target = Evaluate(call.Target, scope);
        var arguments = Arguments("", call.Arguments, scope, caller);
        Line = call.Line;
        return target switch
        {
            PyFunction function => function.Call(arguments.Positional, arguments.Named),
            LoopState loop => loop.Call(arguments.Required(0, "iterable")),
            Undefined missing => throw missing.Error(),
            _ => throw new TemplateError($"'{PyType.Of(target)}' object is not callable"),
        };
    }

    private object? Compute(Expression expression, Scope scope)
    {
        switch (expression)
        {
            case SequenceLiteral sequence:
                return new PySequence(sequence.Kind, [.. sequence.Items.Select(item => Evaluate(item, scope))]);
            case DictLiteral dict:
                var entries = new PyDict();
                foreach (var (key, value) in dict.Entries)
                {
                    entries.Set(Evaluate(key, scope), Evaluate(value, scope));
                }

                return entries;
            case Unary { Operator: "not" } unary:
                return !PyType.IsTrue(Evaluate(unary.Operand, scope));
            case Unary unary:
                var operand = Evaluate(unary.Operand, scope);
                Line = unary.Line;
                return PyOperators.Sign(unary.Operator, operand);
            case Binary { Operator: "and" } and:
                return Evaluate(and.Left, scope) is var first && PyType.IsTrue(first) ? Evaluate(and.Right, scope) : first;
            case Binary { Operator: "or" } or:
                return Evaluate(or.Left, scope) is var either && PyType.IsTrue(either) ? either : Evaluate(or.Right, scope);
            case Binary binary:
                var (left, right) = (Evaluate(binary.Left, scope), Evaluate(binary.Right, scope));
                Line = binary.Line;
                return PyOperators.Compute(binary.Operator, left, right, budget);
            case Concatenation concatenation:
                var writer = new StringBuilder();
                foreach (var part in concatenation.Parts)
                {
                    var text = PyRepr.Str(Evaluate(part, scope), budget);
                    budget.Text((long)writer.Length + text.Length);
                    writer.Append(text);
                }

                return writer.ToString();
            case Comparison comparison:
                return Compare(comparison, scope);
            case Conditional conditional:
                return PyType.IsTrue(Evaluate(conditional.Test, scope)) ? Evaluate(conditional.Then, scope)
                    : conditional.Else is null ? new Undefined("the inline if-expression evaluated to false and no else section was defined.")
                    : Evaluate(conditional.Else, scope);
            case AttributeAccess access:
                return Attribute(Evaluate(access.Target, scope), access);
            case ItemAccess access:
                return Item(Evaluate(access.Target, scope), access, scope);
            case CallExpression call:
                return Call(call, scope, null);
            case FilterExpression filter:
                return Filter(filter, null, scope);
            case TestExpression test:
                var tested = Evaluate(test.Value, scope);
                var arguments = Arguments(test.Name, test.Arguments, scope, null);
                Line = test.Line;
                return Tests.All[test.Name](tested, arguments, budget);
            case SliceExpression:
                throw new TemplateError("a slice among several indices is not supported");
            default:
                throw new InvalidOperationException($"{expression.GetType().Name} is not computed");
        }
    }

    private bool Compare(Comparison comparison, Scope scope)
    {
        var left = Evaluate(comparison.First, scope);
        foreach (var (symbol, operand) in comparison.Rest)
        {
            var right = Evaluate(operand, scope);
            Line = comparison.Line;
            var holds = symbol switch
            {
                "==" => PyComparer.AreEqual(left, right, budget),
                "!=" => !PyComparer.AreEqual(left, right, budget),
                "in" => PyComparer.Contains(right, left, budget),
                "not in" => !PyComparer.Contains(right, left, budget),
                "<" => PyComparer.Compare(left, right, symbol, budget) < 0,
                "<=" => PyComparer.Compare(left, right, symbol, budget) <= 0,
                ">" => PyComparer.Compare(left, right, symbol, budget) > 0,
                _ => PyComparer.Compare(left, right, symbol, budget) >= 0,
            };
            if (!holds)
            {
                return false;
            }

            left = right;
        }

        return true;
    }

    /// <summary>x.name: an attribute first, and then an item.</summary>
    private object? Attribute(object? target, AttributeAccess access)
    {
        Line = access.Line;
        return PyAttributes.TryGet(target, access.Name, budget, out var value) ? value
            : PyOperators.TryItem(target, access.Name, out value) ? value
            : Undefined.Attribute(target, access.Name);
    }

    /// <summary>x[index]: an item first, and then an attribute.</summary>
    private object? Item(object? target, ItemAccess access, Scope scope)
    {
        if (access.Index is SliceExpression slice)
        {
            object? Bound(Expression? bound) => bound is null ? null : Evaluate(bound, scope);
            var (start, stop, step) = (Bound(slice.Start), Bound(slice.Stop), Bound(slice.Step));
            Line = access.Line;
            if (target is Undefined)
            {
                throw ((Undefined)target).Error();
            }

            return PyOperators.TrySlice(target, Slice.Of(start, stop, step), budget, out var part)
                ? part
                : Undefined.Element(target, $"slice({PyRepr.Repr(start, budget)}, {PyRepr.Repr(stop, budget)}, {PyRepr.Repr(step, budget)})");
        }

        var index = Evaluate(access.Index, scope);
        Line = access.Line;
        if (target is Undefined missing)
        {
            throw missing.Error();
        }

        if (PyOperators.TryItem(target, index, out var item))
        {
            return item;
        }

        if (PyText.TryGet(index, out var name))
        {
            return PyAttributes.TryGet(target, name, budget, out item) ? item : Undefined.Attribute(target, name);
        }

        return Undefined.Element(target, PyRepr.Repr(index, budget));
    }

    private Arguments Arguments(string function, ArgumentList list, Scope scope, PyFunction? caller)
    {
        var positional = list.Positional.Select(argument => Evaluate(argument, scope)).ToList();
        if (list.MorePositional is not null)
        {
            positional.AddRange(PyType.ToList(Evaluate(list.MorePositional, scope), budget));
        }

        if (list.Named.Count == 0 && list.MoreNamed is null && caller is null)
        {
            return new Arguments(function, positional, Jinja.Arguments.NoNames);
        }

        var named = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (name, value) in list.Named)
        {
            Add(name, Evaluate(value, scope));
        }

        if (list.MoreNamed is not null)
        {
            var more = Evaluate(list.MoreNamed, scope) as PyDict ?? throw new TemplateError("argument after ** must be a mapping");
            foreach (var (key, value) in more.Entries)
            {
                Add(PyText.TryGet(key, out var name) ? name : throw new TemplateError("keywords must be strings"), value);
            }
        }

        if (caller is not null)
        {
            Add("caller", caller);
        }

        return new Arguments(function, positional, named);

        void Add(string name, object? value)
        {
            if (!named.TryAdd(name, value))
            {
                throw new TemplateError($"got multiple values for keyword argument '{name}'");
            }
        }
    }
}
