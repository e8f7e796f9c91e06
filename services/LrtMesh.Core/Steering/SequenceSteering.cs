using System.Numerics.Tensors;
using LrtMesh.Core.Models;
using AppliedSteering = LrtMesh.Core.Models.AppliedSteering;
using SteeringOperator = LrtMesh.V1.SteeringOperator;

namespace LrtMesh.Core.Steering;

/// <summary>
/// The steering of one sequence of the running batch: its rows of the steering table, and the count of what they did. What the last
/// layer puts out for the prompt's tokens but the last is read by nobody, and is not steered.
/// </summary>
internal sealed class SequenceSteering
{
    private readonly IReadOnlyList<PlannedSteering> _steerings;
    private readonly SteeringTable _table;
    private readonly int _promptLength;
    private readonly int _lastLayer;
    private readonly int[] _steered;
    private readonly double[] _relativeChange;
    private readonly float[] _lengths; // of what each steering adds
    private readonly Dictionary<(int Layer, ulong Active), (int Row, TokenChange Change)> _rows = [];
    private readonly Dictionary<(int Position, int Steering), float> _prefixChanges = []; // ‖Δ‖/‖h‖ below the last layer

    /// <summary>The steering of a sequence.</summary>
    /// <param name="plan">Its plan.</param>
    /// <param name="table">Where its rows are.</param>
    /// <param name="promptLength">Tokens of its prompt.</param>
    /// <param name="layers">The model's.</param>
    public SequenceSteering(SteeringPlan plan, SteeringTable table, int promptLength, int layers)
    {
        _steerings = plan.Steerings;
        _table = table;
        _promptLength = promptLength;
        _lastLayer = layers - 1;
        Layers = [.. _steerings.Select(s => s.Layer).Distinct()];
        _steered = new int[_steerings.Count];
        _relativeChange = new double[_steerings.Count];
        _lengths = [.. _steerings.Select(s => TensorPrimitives.Norm(s.Direction))];
    }

    /// <summary>The layers that it steers.</summary>
    public IReadOnlyList<int> Layers { get; }

    /// <summary>What was done, one entry a steering of the plan.</summary>
    public IReadOnlyList<AppliedSteering> Applied =>
        [.. _steerings.Select((s, i) => new AppliedSteering(s, _steered[i], _steered[i] == 0 ? 0 : _relativeChange[i] / _steered[i]))];

    /// <summary>The prompt without its last token, which is read like a generated one: what comes out there is needed.</summary>
    public PrefixToken[] Prefix(IReadOnlyList<int> prompt)
    {
        var fingerprints = new Dictionary<ulong, UInt128> { [0] = 0 };
        var prefix = new PrefixToken[prompt.Count - 1];
        for (var position = 0; position < prefix.Length; position++)
        {
            var active = PrefixActive(position);
            if (!fingerprints.TryGetValue(active, out var fingerprint))
            {
                fingerprints[active] = fingerprint = PlannedSteering.Fingerprint(_steerings.Where((_, i) => IsSet(active, i)));
            }

            prefix[position] = new PrefixToken(prompt[position], fingerprint);
        }

        return prefix;
    }

    /// <summary>For each position of the prefix ‖Δ‖/‖h‖ of each steering that its fingerprint stands for, in the plan's order.</summary>
    public IReadOnlyList<float[]> PrefixChanges() => [.. Enumerable.Range(0, _promptLength - 1).Select(position => PrefixSteerings(position)
        .Select(steering => _prefixChanges[(position, steering)]).ToArray())];

    /// <summary>Counts what was done to the first positions of the prompt when another sequence read them.</summary>
    /// <param name="changes">As <see cref="PrefixChanges"/> gave them.</param>
    public void Resume(IReadOnlyList<float[]> changes)
    {
        for (var position = 0; position < changes.Count; position++)
        {
            foreach (var (steering, change) in PrefixSteerings(position).Zip(changes[position]))
            {
                Count(steering, position, change);
            }
        }
    }

    /// <summary>The steering table's row for a token at an absolute position; 0 where nothing steers it.</summary>
    public int RowAt(int layer, int position) => Active(layer, position) is var active && active != 0 ? Change(layer, active).Row : 0;

    /// <summary>Counts a token that was steered.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="position">The token's absolute position.</param>
    /// <param name="norm">Length of its hidden state before the change.</param>
    /// <param name="projections">Its projections on the directions that were taken out, in their order.</param>
    public void Count(int layer, int position, float norm, float[] projections)
    {
        var active = Active(layer, position);
        var change = Change(layer, active).Change;
        var ablations = 0;
        for (var i = 0; i < _steerings.Count; i++)
        {
            if (IsSet(active, i))
            {
                var length = _steerings[i].Operator == SteeringOperator.Ablate
                    ? change.RemovedLength(ablations, projections[ablations++])
                    : _lengths[i];
                Count(i, position, (float)(length / Math.Max(norm, float.Epsilon)));
            }
        }
    }

    /// <summary>Gives its rows back.</summary>
    public void Leave()
    {
        foreach (var ((layer, _), (row, _)) in _rows)
        {
            _table.Release(layer, row);
        }

        _rows.Clear();
    }

    private static bool IsSet(ulong active, int steering) => (active & (1UL << steering)) != 0;

    private void Count(int steering, int position, float change)
    {
        _steered[steering]++;
        _relativeChange[steering] += change;
        if (position < _promptLength - 1)
        {
            _prefixChanges[(position, steering)] = change;
        }
    }

    /// <summary>One bit for each steering that applies to a token.</summary>
    private ulong Active(int layer, int position)
    {
        var active = 0UL;
        for (var i = 0; i < _steerings.Count && (layer < _lastLayer || position >= _promptLength - 1); i++)
        {
            if (_steerings[i].Layer == layer && _steerings[i].AppliesAt(position, _promptLength))
            {
                active |= 1UL << i;
            }
        }

        return active;
    }

    /// <summary>One bit for each steering that decides the keys and values of a position of the prompt.</summary>
    private ulong PrefixActive(int position)
    {
        var active = 0UL;
        foreach (var layer in Layers)
        {
            active |= Active(layer, position);
        }

        return active;
    }

    private IEnumerable<int> PrefixSteerings(int position)
    {
        var active = PrefixActive(position);
        return active == 0 ? [] : Enumerable.Range(0, _steerings.Count).Where(i => IsSet(active, i));
    }

    private (int Row, TokenChange Change) Change(int layer, ulong active)
    {
        if (!_rows.TryGetValue((layer, active), out var entry))
        {
            var change = new TokenChange([.. _steerings.Where((_, i) => IsSet(active, i))]);
            _rows[(layer, active)] = entry = (_table.Acquire(layer, change), change);
        }

        return entry;
    }
}
