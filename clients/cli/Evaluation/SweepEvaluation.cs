using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// Varies one thing at a time about steering a pair's large model by mapped vectors, with maps of in-distribution text, on test prompts of the
/// behaviours whose native vectors had the largest effects on dev prompts.
/// </summary>
internal sealed class SweepEvaluation(Terminal terminal, Mesh mesh, BehaviourSet set, EvaluationSize size, ulong seed, AnswerLog log, CancellationToken cancellation)
{
    private const int MostBehaviours = 8;

    private static readonly double[] Doses = [0.25, 0.5, 1, 1.5, 2];
    private static readonly int[] Documents = [5, 10, 20, 50, 100, 200, 400, 800, 1600];

    private static readonly (string Name, FitOptions Fit)[] Solvers =
    [
        ("ridge, λ by cross-validation", new FitOptions()),
        ("least squares", new FitOptions { Solver = MapSolver.LeastSquares }),
        ("ridge, standardized", new FitOptions { Standardize = true }),
        ("reduced rank, 95% of the variance", new FitOptions { Solver = MapSolver.ReducedRank, KeptVariance = 0.95 }),
        ("reduced rank 16", new FitOptions { Solver = MapSolver.ReducedRank, Rank = 16 }),
        ("Procrustes", new FitOptions { Solver = MapSolver.Procrustes }),
    ];

    private static readonly (string Name, PositionRule Rule)[] Positions =
    [
        ("from the prompt's last token", PositionRule.FromLastPromptToken),
        ("all tokens", PositionRule.All),
        ("the prompt", PositionRule.Prompt),
        ("the prompt's last token", PositionRule.LastPromptToken),
        ("generated tokens", PositionRule.Generated),
    ];

    private static readonly (string Name, VectorMethod Method)[] Methods =
    [
        ("difference of means", VectorMethod.DifferenceOfMeans),
        ("PCA of differences", VectorMethod.PcaOfDifferences),
        ("logistic probe", VectorMethod.LogisticProbe),
    ];

    private readonly List<PairVectors> _made = [];

    /// <summary>What was stored, to be deleted.</summary>
    public IReadOnlyList<PairVectors> Made => _made;

    /// <summary>Runs all sweeps of a pair.</summary>
    /// <param name="prepared">The target's layers and coefficients.</param>
    /// <param name="sizes">Pairs of one family, for the sweep over sizes.</param>
    /// <param name="prepare">Prepares another target.</param>
    public async Task<IReadOnlyList<EffectSweep>> RunAsync(LocatedModel source, LocatedModel target, PreparedTarget prepared, IReadOnlyList<ModelPair> sizes, Func<LocatedModel, Task<PreparedTarget>> prepare)
    {
        var choices = Strongest(prepared);
        if (choices.Length == 0)
        {
            throw new CommandException($"--sweeps: no behaviour of {target.Name} can be steered by its own vectors, so there is no effect to follow.");
        }

        var learnt = await LearnAsync(source, target, choices, VectorMethod.DifferenceOfMeans);
        uint[] layers = [.. choices.Select(choice => choice.Native.Layer)];
        var (vectors, r2, mapped) = await MapAsync(source, target, learnt, layers, request => { });

        return
        [
            await MeasureAsync("coefficient", "Does what is kept depend on the strength?", target, choices, Doses.Select(dose => new Setting(
                $"{dose} of the chosen coefficient", dose, null, r2, [.. choices.Select((choice, b) => new Steered(choice, SteeredBy.Of(choice.Native, dose * choice.Coefficient), SteeredBy.Of(mapped[b], dose * choice.Coefficient)))]))),
            await MeasureAsync("layers", "Which layers map, and does a better map steer better?", target, choices, await LayerSettingsAsync(source, target, choices)),
            await MeasureAsync("tokens", "How much text does a map need?", target, choices, await DocumentSettingsAsync(source, target, choices, learnt, layers)),
            await MeasureAsync("solver", "Does the way of fitting matter?", target, choices, await EachAsync(Solvers, solver => SettingAsync(solver.Name, source, target, choices, learnt, layers, request =>
            {
                var fit = new FitOptions(solver.Fit) { Window = request.Fit.Window };
                request.Fit = fit;
            }))),
            await MeasureAsync("bias", "A direction has no place in space: A·v, or A·v + b?", target, choices,
            [
                new Setting("A·v", null, null, r2, Steer(choices, mapped)),
                new Setting("A·v + b", null, null, r2, Steer(choices, await vectors.PutWithBiasAsync(learnt, layers, cancellation))),
            ]),
            await MeasureAsync("positions", "Does it matter which tokens are steered?", target, choices, Positions.Select(position => new Setting(
                position.Name, null, null, r2, [.. Steer(choices, mapped).Select(steered => steered with { Native = steered.Native with { Positions = position.Rule }, Mapped = steered.Mapped with { Positions = position.Rule } })]))),
            await MeasureAsync("method", "Does the way of learning the vector matter?", target, choices, await EachAsync(Methods, method => MethodSettingAsync(method.Name, method.Method, source, target, choices, layers))),
            await SizesAsync(sizes, prepare),
        ];
    }

    private static Choice[] Strongest(PreparedTarget prepared) =>
        [.. prepared.Choices.Where(choice => choice.Steerable).OrderByDescending(choice => choice.Effect).Take(MostBehaviours)];

    private async Task<IReadOnlyList<Setting>> LayerSettingsAsync(LocatedModel source, LocatedModel target, Choice[] choices)
    {
        uint[] sourceLayers = [.. Enumerable.Range(0, (int)source.Model.Layers).Select(layer => (uint)layer)];
        uint[] targetLayers = [.. Enumerable.Range(0, (int)target.Model.Layers).Select(layer => (uint)layer)];
        var vectors = New(source, target);
        var behaviours = set.With([.. choices.Select(choice => choice.Behaviour)]);
        var small = await vectors.LearnLayersAsync(source, behaviours, "source", sourceLayers, VectorMethod.DifferenceOfMeans, Quietly, cancellation);
        var large = await vectors.LearnLayersAsync(target, behaviours, "native", targetLayers, VectorMethod.DifferenceOfMeans, Quietly, cancellation);
        var grid = sourceLayers.SelectMany(from => targetLayers.Select(to => (From: from, To: to))).ToArray();
        var request = vectors.MapRequest([0], set.MapDocuments(MapText.InDistribution));
        request.Fit.ShuffledControl = false;
        var pairs = grid.Select(cell => new MapPair
        {
            Map = $"{vectors.Prefix}grid-{cell.From}-{cell.To}",
            Source = new LayerRef { Model = source.Name, Layer = cell.From },
            Target = new LayerRef { Model = target.Name, Layer = cell.To },
        }).ToArray();
        (request.Map, request.Source, request.Target) = (pairs[0].Map, pairs[0].Source, pairs[0].Target);
        request.More.Clear();
        request.More.AddRange(pairs.Skip(1));
        var maps = (await MapJobs.RunAsync(terminal, mesh.Mapping, request, cancellation)).Maps.ToDictionary(map => (map.Source.Layer, map.Target.Layer));

        return await EachAsync(grid, async cell =>
        {
            var steered = new List<Steered>();
            for (int b = 0; b < choices.Length; b++)
            {
                var carried = await vectors.CarryAsync(small[b][cell.From].Vector, maps[cell].Name, $"grid-{cell.From}-{cell.To}-{choices[b].Behaviour.Name}", cancellation);
                // The same share of the states' length at each layer.
                double coefficient = choices[b].Coefficient * large[b][cell.To].MeanHiddenNorm / large[b][choices[b].Native.Layer].MeanHiddenNorm;
                steered.Add(new Steered(choices[b], SteeredBy.Of(large[b][cell.To].Vector, coefficient), SteeredBy.Of(carried, coefficient)));
            }

            return new Setting($"{cell.From} → {cell.To}", null, cell, maps[cell].Metrics.R2, steered);
        });
    }

    private async Task<IReadOnlyList<Setting>> DocumentSettingsAsync(LocatedModel source, LocatedModel target, Choice[] choices, Vector[] learnt, uint[] layers)
    {
        int most = set.MapDocuments(MapText.InDistribution).Documents.Count;
        return await EachAsync([.. Documents.Where(documents => documents < most).Append(most)], async documents =>
        {
            ulong tokens = 0;
            var setting = await SettingAsync($"{documents} documents", source, target, choices, learnt, layers, request =>
            {
                Document[] first = [.. request.Documents.Take(documents)];
                request.Documents.Clear();
                request.Documents.AddRange(first);
            }, map => tokens = map.Metrics.SourceTokens);
            return setting with { Name = $"{documents} documents, {tokens} tokens", X = tokens };
        });
    }

    private async Task<Setting> MethodSettingAsync(string name, VectorMethod method, LocatedModel source, LocatedModel target, Choice[] choices, uint[] layers)
    {
        var learnt = await LearnAsync(source, target, choices, method);
        var vectors = New(source, target);
        var natives = await vectors.LearnLayersAsync(target, set.With([.. choices.Select(choice => choice.Behaviour)]), "native", [.. layers.Distinct()], method, Quietly, cancellation);
        var (_, r2, mapped) = await MapAsync(source, target, learnt, layers, request => { });
        return new Setting(name, null, null, r2, [.. choices.Select((choice, b) => new Steered(
            choice, SteeredBy.Of(natives[b].First(native => native.Vector.Layer == layers[b]).Vector, choice.Coefficient), SteeredBy.Of(mapped[b], choice.Coefficient)))]);
    }

    // Each pair has behaviours, layers and coefficients of its own.
    private async Task<EffectSweep> SizesAsync(IReadOnlyList<ModelPair> sizes, Func<LocatedModel, Task<PreparedTarget>> prepare)
    {
        var points = new List<SweepPoint>();
        foreach (var pair in sizes)
        {
            var source = await mesh.FindModelAsync(pair.Source, "extraction", cancellation);
            var target = await mesh.FindModelAsync(pair.Target, "generation", cancellation);
            var choices = Strongest(await prepare(target));
            string name = $"{pair.Source} → {pair.Target}";
            if (choices.Length == 0)
            {
                points.Add(new SweepPoint(name, null, null, null, null, null, null, null, 0));
                continue;
            }

            var learnt = await LearnAsync(source, target, choices, VectorMethod.DifferenceOfMeans);
            uint[] layers = [.. choices.Select(choice => choice.Native.Layer)];
            var setting = await SettingAsync(name, source, target, choices, learnt, layers, request => { });
            points.AddRange((await MeasureAsync("sizes", "", target, choices, [setting])).Points);
        }

        return new EffectSweep("sizes", "From which size to which, and back?", points);
    }

    private async Task<Setting> SettingAsync(
        string name, LocatedModel source, LocatedModel target, Choice[] choices, Vector[] learnt, uint[] layers, Action<CreateMapJobRequest> vary, Action<AffineMap>? take = null)
    {
        var (_, r2, mapped) = await MapAsync(source, target, learnt, layers, vary, take);
        return new Setting(name, null, null, r2, Steer(choices, mapped));
    }

    private async Task<(PairVectors Vectors, double R2, Vector[] Mapped)> MapAsync(
        LocatedModel source, LocatedModel target, Vector[] learnt, uint[] layers, Action<CreateMapJobRequest> vary, Action<AffineMap>? take = null)
    {
        var vectors = New(source, target);
        var request = vectors.MapRequest(layers, set.MapDocuments(MapText.InDistribution));
        request.Fit.ShuffledControl = false;
        vary(request);
        var maps = (await MapJobs.RunAsync(terminal, mesh.Mapping, request, cancellation)).Maps;
        take?.Invoke(maps[0]);
        var mapped = await vectors.TransferAsync(learnt, layers, "", cancellation);
        return (vectors, layers.Average(layer => maps.First(map => map.Target.Layer == layer).Metrics.R2), mapped);
    }

    private async Task<Vector[]> LearnAsync(LocatedModel source, LocatedModel target, Choice[] choices, VectorMethod method)
    {
        uint[] layers = [.. choices.Select(choice => Depth.Same(choice.Native.Layer, target.Model.Layers, source.Model.Layers))];
        var learnt = await New(source, target).LearnLayersAsync(source, set.With([.. choices.Select(choice => choice.Behaviour)]), "source", [.. layers.Distinct()], method, Quietly, cancellation);
        return [.. layers.Select((layer, b) => learnt[b].First(vector => vector.Vector.Layer == layer).Vector)];
    }

    private async Task<EffectSweep> MeasureAsync(string name, string question, LocatedModel target, Choice[] choices, IEnumerable<Setting> settings)
    {
        Setting[] all = [.. settings];
        var numbers = set.All.Select((behaviour, b) => (behaviour.Name, Number: b)).ToDictionary(of => of.Name, of => of.Number);
        var planned = all.SelectMany(setting => setting.Steered.SelectMany(steered => Prompts(steered).SelectMany(prompt =>
        {
            // The headline's prompts with its random numbers: those answers are known.
            ulong textSeed = Draws.Seed(seed, PairEvaluation.TestPurpose, numbers[steered.Choice.Behaviour.Name], prompt.Index);
            var trial = new Trial(steered.Choice.Behaviour, prompt.Prompt, prompt.Prompt.For(target.Model), textSeed, null);
            return new[] { trial, trial with { Steering = SteeredBy.Of(steered.Choice.Native, steered.Choice.Coefficient) }, trial with { Steering = steered.Native }, trial with { Steering = steered.Mapped } };
        }))).ToArray();
        var outcomes = await terminal.ProgressAsync($"sweep of {name}: test prompts", report => Trials.Of(mesh.Generation, target.Model, log).RunAsync(planned, report, cancellation));
        var items = planned.Select(trial => ScoreItem.Of(trial.Prompt, trial.Input, trial.Steering)).ToArray();
        var scores = await terminal.ProgressAsync($"sweep of {name}: items of multiple choice", report => new Scorer(mesh.Generation, target.Model, log).RunAsync(items, report, cancellation));

        var points = new List<SweepPoint>();
        int next = 0;
        foreach (var setting in all)
        {
            // [behaviour]: of none, headline, native and mapped, one number a prompt.
            var rates = new List<double[][]>();
            var propensities = new List<double[][]>();
            foreach (var steered in setting.Steered)
            {
                int prompts = Prompts(steered).Count();
                rates.Add([.. Enumerable.Range(0, 4).Select(arm => Enumerable.Range(0, prompts).Select(p => outcomes[next + (4 * p) + arm].Shows ? 1.0 : 0.0).ToArray())]);
                propensities.Add([.. Enumerable.Range(0, 4).Select(arm => Enumerable.Range(0, prompts).Select(p => scores[next + (4 * p) + arm][0].Logprob - scores[next + (4 * p) + arm][1].Logprob).ToArray())]);
                next += 4 * prompts;
            }

            points.Add(new SweepPoint(
                setting.Name, setting.X, setting.Layers, setting.MapR2, Pooled(rates, of: 2, arm: 3), Pooled(propensities, of: 2, arm: 3), Pooled(rates, of: 1, arm: 2), Pooled(rates, of: 1, arm: 3), setting.Steered.Count));
        }

        return new EffectSweep(name, question, points);

        Estimate? Pooled(List<double[][]> behaviours, int of, int arm) => ShareKept.Pooled([.. behaviours.Select(arms => new PairedOutcomes(arms[0], arms[of], arms[arm]))], (int)(seed & int.MaxValue));

        IEnumerable<(BehaviourPrompt Prompt, int Index)> Prompts(Steered steered) => steered.Choice.Behaviour.Test.Take(size.SweepPrompts).Select((prompt, index) => (prompt, index));
    }

    private PairVectors New(LocatedModel source, LocatedModel target)
    {
        var vectors = new PairVectors(mesh, source, target, "evaluate");
        _made.Add(vectors);
        return vectors;
    }

    private static void Quietly(long done, long total)
    {
        // A few requests a setting.
    }

    private static async Task<IReadOnlyList<Setting>> EachAsync<T>(IReadOnlyList<T> items, Func<T, Task<Setting>> setting)
    {
        var settings = new List<Setting>();
        foreach (var item in items)
        {
            settings.Add(await setting(item));
        }

        return settings;
    }

    private static IReadOnlyList<Steered> Steer(Choice[] choices, Vector[] mapped) =>
        [.. choices.Select((choice, b) => new Steered(choice, SteeredBy.Of(choice.Native, choice.Coefficient), SteeredBy.Of(mapped[b], choice.Coefficient)))];

    private sealed record Setting(string Name, double? X, (uint Source, uint Target)? Layers, double? MapR2, IReadOnlyList<Steered> Steered);

    private sealed record Steered(Choice Choice, SteeredBy Native, SteeredBy Mapped);
}
