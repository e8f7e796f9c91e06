using LrtMesh.Core.Models;
using AppliedSteering = LrtMesh.Core.Models.AppliedSteering;

namespace LrtMesh.Core.Steering;

/// <summary>What is done to one token at one layer: a row of the steering table.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Row">The row.</param>
/// <param name="Change">What is in it.</param>
/// <param name="Condition">When it is done; null: always.</param>
/// <param name="Steerings">Of which steerings of the sequence it is made, in their order.</param>
internal sealed record TokenRow(int Layer, int Row, TokenChange Change, PlannedCondition? Condition, int[] Steerings);

/// <summary>
/// The steering of one sequence of the running batch: its rows of the steering table, and the count of what they did. What the last
/// layer puts out for the prompt's tokens but the last is read by nobody, and is not steered. A plan can take another's place from a
/// position on.
/// </summary>
internal sealed class SequenceSteering
{
    private readonly SteeringTable _table;
    private readonly int _promptLength;
    private readonly int _lastLayer;
    private readonly List<PlanInForce> _plans = [];
    private readonly List<Count> _counts = []; // one entry a steering, of all plans
    private readonly Dictionary<RowKey, TokenRow[]> _rows = [];
    private readonly Dictionary<(int Position, int Steering), float> _prefixChanges = []; // ‖Δ‖/‖h‖ below the last layer

    /// <summary>The steering of a sequence.</summary>
    /// <param name="plan">Its plan.</param>
    /// <param name="table">Where its rows are.</param>
    /// <param name="promptLength">Tokens of its prompt.</param>
    /// <param name="layers">The model's.</param>
    public SequenceSteering(SteeringPlan plan, SteeringTable table, int promptLength, int layers)
    {
        _table = table;
        _promptLength = promptLength;
        _lastLayer = layers - 1;
        Change(plan, from: 0);
    }

    /// <summary>Whether nothing has ever steered it.</summary>
    public bool IsEmpty => _counts.Count == 0;

    /// <summary>What was done, one entry a steering, in the order in which they came.</summary>
    public IReadOnlyList<AppliedSteering> Applied =>
        [.. _counts.Select(count => new AppliedSteering(count.Steering, count.Positions, count.Positions == 0 ? 0 : count.RelativeChange / count.Positions))];

    /// <summary>Steers by another plan from a position on.</summary>
    public void Change(SteeringPlan plan, int from)
    {
        ReleaseWhere(_ => true); // of another plan
        _plans.Add(new PlanInForce(from, _counts.Count, plan.Steerings));
        _counts.AddRange(plan.Steerings.Select(steering => new Count(steering)));
    }

    /// <summary>The prompt without its last token, which is read like a generated one: what comes out there is needed.</summary>
    public PrefixToken[] Prefix(IReadOnlyList<int> prompt)
    {
        var fingerprints = new Dictionary<ulong, UInt128> { [0] = 0 };
        var prefix = new PrefixToken[prompt.Count - 1];
        for (var position = 0; position < prefix.Length; position++)
        {
            var key = KeyAt(position);
            if (!fingerprints.TryGetValue(key.Active, out var fingerprint))
            {
                fingerprints[key.Active] = fingerprint = PlannedSteering.Fingerprint(Indexes(key).Select(i => _counts[i].Steering));
            }

            prefix[position] = new PrefixToken(prompt[position], fingerprint);
        }

        return prefix;
    }

    /// <summary>
    /// For each position of the prefix ‖Δ‖/‖h‖ of each steering that its fingerprint stands for, in the plan's order; NaN where its
    /// condition did not hold.
    /// </summary>
    public IReadOnlyList<float[]> PrefixChanges() => [.. Enumerable.Range(0, _promptLength - 1).Select(position => Array.ConvertAll(
        Indexes(KeyAt(position)), steering => _prefixChanges.GetValueOrDefault((position, steering), float.NaN)))];

    /// <summary>Counts what was done to the first positions of the prompt when another sequence read them.</summary>
    /// <param name="changes">As <see cref="PrefixChanges"/> gave them.</param>
    public void Resume(IReadOnlyList<float[]> changes)
    {
        for (var position = 0; position < changes.Count; position++)
        {
            foreach (var (steering, change) in Indexes(KeyAt(position)).Zip(changes[position]).Where(pair => !float.IsNaN(pair.Second)))
            {
                Add(steering, position, change);
            }
        }
    }

    /// <summary>What is done to the token at an absolute position.</summary>
    public IReadOnlyList<TokenRow> At(int position)
    {
        var key = KeyAt(position);
        if (key.Active == 0)
        {
            return [];
        }

        if (!_rows.TryGetValue(key, out var rows))
        {
            _rows[key] = rows = [.. MakeRows(key)];
        }

        return rows;
    }

    /// <summary>Counts a token that a row was for.</summary>
    /// <param name="position">The token's absolute position.</param>
    /// <param name="row">The row.</param>
    /// <param name="holds">Whether its condition held.</param>
    /// <param name="norm">Length of its hidden state before the change.</param>
    /// <param name="projections">Its projections on the directions that were taken out, in their order.</param>
    public void Took(int position, TokenRow row, bool holds, float norm, float[] projections)
    {
        if (row.Condition is { AtPrompt: true })
        {
            _counts[row.Steerings[0]].Holds = holds;
        }

        var lengths = holds ? row.Change.Lengths(projections) : [];
        for (var i = 0; i < lengths.Length; i++)
        {
            Add(row.Steerings[i], position, (float)(lengths[i] / Math.Max(norm, float.Epsilon)));
        }
    }

    /// <summary>Gives back the rows of generated tokens that a schedule made.</summary>
    public void ReleaseScheduled() => ReleaseWhere(key => key.Step >= 0);

    /// <summary>Gives all rows back.</summary>
    public void Leave() => ReleaseWhere(_ => true);

    private void ReleaseWhere(Func<RowKey, bool> gone)
    {
        foreach (var key in _rows.Keys.Where(gone).ToList())
        {
            foreach (var row in _rows[key])
            {
                _table.Release(row.Layer, row.Row);
            }

            _rows.Remove(key);
        }
    }

    private void Add(int steering, int position, float change)
    {
        _counts[steering].Positions++;
        _counts[steering].RelativeChange += change;
        if (position < _promptLength - 1)
        {
            _prefixChanges[(position, steering)] = change;
        }
    }

    /// <summary>What tells a token's rows from those of others.</summary>
    private RowKey KeyAt(int position)
    {
        var plan = _plans.Count - 1;
        while (_plans[plan].From > position)
        {
            plan--;
        }

        var (active, isOpen, isScheduled) = (0UL, false, false);
        var (_, first, steerings) = _plans[plan];
        for (var i = 0; i < steerings.Count; i++)
        {
            var steering = steerings[i];
            if (!steering.AppliesAt(position, _promptLength) || (steering.Layer == _lastLayer && position < _promptLength - 1))
            {
                continue;
            }

            if (steering.Condition is { AtPrompt: true })
            {
                var asks = position == _promptLength - 1;
                isOpen |= asks;
                if (!asks && !_counts[first + i].Holds)
                {
                    continue;
                }
            }

            active |= 1UL << i;
            isScheduled |= steering.Schedule.Count > 0;
        }

        return new RowKey(plan, active, isOpen, isScheduled && position >= _promptLength ? position - _promptLength : -1);
    }

    private int[] Indexes(RowKey key) =>
        key.Active == 0 ? [] : [.. Enumerable.Range(0, _plans[key.Plan].Steerings.Count).Where(i => (key.Active & (1UL << i)) != 0).Select(i => _plans[key.Plan].First + i)];

    /// <summary>At each layer one row of what has no condition, or one that is known to hold, and then one for each condition.</summary>
    private IEnumerable<TokenRow> MakeRows(RowKey key)
    {
        PlannedCondition? Asked(int i) => _counts[i].Steering.Condition is { } condition && (key.IsOpen || !condition.AtPrompt) ? condition : null;
        foreach (var layer in Indexes(key).GroupBy(i => _counts[i].Steering.Layer))
        {
            int[] always = [.. layer.Where(i => Asked(i) is null)];
            if (always.Length > 0)
            {
                yield return MakeRow(key, always, null);
            }

            foreach (var i in layer.Where(i => Asked(i) is not null))
            {
                yield return MakeRow(key, [i], Asked(i));
            }
        }
    }

    private TokenRow MakeRow(RowKey key, int[] steerings, PlannedCondition? condition)
    {
        var planned = Array.ConvertAll(steerings, i => _counts[i].Steering);
        var change = new TokenChange(planned, key.Step);
        return new TokenRow(planned[0].Layer, _table.Acquire(planned[0].Layer, change), change, condition, steerings);
    }

    /// <param name="Plan">Which of the plans.</param>
    /// <param name="Active">One bit for each of its steerings.</param>
    /// <param name="IsOpen">Whether a condition on the prompt is asked at this token.</param>
    /// <param name="Step">With a schedule: which generated token; otherwise −1.</param>
    private readonly record struct RowKey(int Plan, ulong Active, bool IsOpen, int Step);

    private sealed record PlanInForce(int From, int First, IReadOnlyList<PlannedSteering> Steerings);

    private sealed class Count(PlannedSteering steering)
    {
        public PlannedSteering Steering => steering;

        public int Positions { get; set; }

        public double RelativeChange { get; set; } // summed

        public bool Holds { get; set; } // what a condition on the prompt came to
    }
}
