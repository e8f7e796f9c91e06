using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>What is chosen for a steered model, whatever its vectors come from.</summary>
/// <param name="Choices">One a behaviour.</param>
/// <param name="Vectors">Where the native vectors are kept.</param>
internal sealed record PreparedTarget(Choice[] Choices, PairVectors Vectors)
{
    /// <summary>Layer of each behaviour.</summary>
    public uint[] Layers => [.. Choices.Select(choice => choice.Native.Layer)];
}

/// <summary>Vectors of the small model.</summary>
/// <param name="Learnt">One a behaviour, at the depth of the native one.</param>
/// <param name="Vectors">Where they are kept.</param>
internal sealed record PreparedSource(Vector[] Learnt, PairVectors Vectors);

/// <summary>
/// Evaluates a pair of models by the protocol of docs/how-it-works.md:
/// <list type="number">
/// <item>Native vectors, and on dev prompts with these alone each behaviour's layer and coefficient (<see cref="PrepareAsync"/>).</item>
/// <item>Vectors of the small model at the same depth, maps from one kind of text, and the vectors of all arms.</item>
/// <item>Test prompts continued under each arm with the same random numbers.</item>
/// <item>Items of multiple choice under each arm, and under growing doses of native, mapped and random vectors.</item>
/// <item>The cost, on held-out text and neutral prompts.</item>
/// </list>
/// </summary>
internal sealed class PairEvaluation(Terminal terminal, Mesh mesh, BehaviourSet set, EvaluationSize size, ulong seed, AnswerLog log, CancellationToken cancellation)
{
    /// <summary>Directions of each random arm.</summary>
    public const int RandomDirections = 20;

    // Purposes of random numbers.
    internal const int TestPurpose = 2;
    private const int NeutralPurpose = 3;

    // Documents whose states say how states vary: many times the width in tokens.
    private const int StateDocuments = 64;

    // Characters of a held-out document whose perplexity is measured: some 40 tokens.
    private const int HeldOutCharacters = 160;

    private static readonly double[] Doses = [-1.5, -1, -0.5, 0.5, 1, 1.5];
    private static readonly double[] CostDoses = [0.5, 1, 1.5];

    /// <summary>Learns native vectors and chooses layers and coefficients.</summary>
    public async Task<PreparedTarget> PrepareAsync(LocatedModel target)
    {
        var vectors = new PairVectors(mesh, target, target, "evaluate");
        uint[] candidates = Depth.CandidateLayers(target.Model.Layers, set.Depths);
        var natives = await terminal.ProgressAsync($"{target.Name}: learning native vectors", report => vectors.LearnNativeAsync(set, candidates, report, cancellation));
        var dev = new DevChoice(TrialsOf(target), target.Model, seed, size.CurvePrompts, size.ConfirmPrompts);
        double[][] baseline = await terminal.ProgressAsync($"{target.Name}: dev prompts without steering", report => dev.BaselineAsync(set.All, report, cancellation));
        var curves = await terminal.ProgressAsync($"{target.Name}: dev prompts, growing coefficients", report => dev.CurvesAsync(set.All, natives, baseline, report, cancellation));
        var choices = await terminal.ProgressAsync($"{target.Name}: dev prompts at the chosen coefficients", report => dev.ConfirmAsync(set.All, natives, curves, baseline, report, cancellation));
        return new PreparedTarget(choices, vectors);
    }

    /// <summary>Learns the small model's vectors, each at the relative depth of the native one.</summary>
    public async Task<PreparedSource> LearnAsync(LocatedModel source, LocatedModel target, PreparedTarget prepared)
    {
        var vectors = new PairVectors(mesh, source, target, "evaluate");
        uint[] layers = [.. prepared.Layers.Select(layer => Depth.Same(layer, target.Model.Layers, source.Model.Layers))];
        var learnt = await terminal.ProgressAsync($"{source.Name}: learning", report => vectors.LearnSourceAsync(set, layers, report, cancellation));
        return new PreparedSource([.. learnt.Select(vector => vector.Vector)], vectors);
    }

    /// <summary>Carries vectors from a source to a target by maps fitted on one kind of text, and measures them.</summary>
    /// <param name="vectors">Where those of this pair and map text are kept.</param>
    public async Task<PairResult> RunAsync(ModelPair pair, LocatedModel source, PreparedSource learnt, LocatedModel target, PreparedTarget prepared, MapText mapText, PairVectors vectors)
    {
        string what = $"{source.Name} → {target.Name}, {MapTextName(mapText)} map text";
        var choices = prepared.Choices;
        uint[] targetLayers = prepared.Layers;
        var mapDocuments = set.MapDocuments(mapText);
        var mapRequest = vectors.MapRequest(targetLayers, mapDocuments);
        mapRequest.Fit.StitchedLoss = true;
        var job = await MapJobs.RunAsync(terminal, mesh.Mapping, mapRequest, cancellation);
        var arms = await ArmsAsync(source, target, vectors, learnt.Learnt, targetLayers);
        PromptInput[][] examples = await Task.WhenAll(choices.Select(choice =>
            new PromptExamples(target).WithExampleAsync(choice.Behaviour, [.. choice.Behaviour.Test.Take(size.TestPrompts)], cancellation)));

        var (texts, outcomes) = await GenerateAsync(what, target, choices, arms, examples);
        var (curves, shifts) = await ScoreItemsAsync(what, target, choices, arms, examples);
        double?[] equal = [.. curves.Select(byArm => byArm[Arm.Mapped].DoseOf(byArm[Arm.Native].Shifts(1).Average()))];
        var (perplexity, native, mapped) = await CostsAsync(what, target, choices, arms[Arm.Mapped], equal);
        double[] cosines = await Task.WhenAll(choices.Select((choice, b) => vectors.CosineAsync(choice.Native, arms[Arm.Mapped][b][0], cancellation)));
        var behaviours = choices.Select((choice, b) => new BehaviourResult(
            choice,
            learnt.Learnt[b].Layer,
            [.. choice.Behaviour.Test.Take(size.TestPrompts).Select(prompt => prompt.Text)],
            texts[b],
            outcomes[b],
            curves[b],
            shifts[b],
            cosines[b],
            native[b],
            mapped[b],
            equal[b]));
        return new PairResult(pair, source, target, mapText, mapDocuments.Digest, mapDocuments.Window, mapDocuments.Documents.Count, [.. job.Maps.Where(map => !map.Shuffled)], [.. behaviours], perplexity);
    }

    /// <summary>A kind of map text, as results name it.</summary>
    public static string MapTextName(MapText text) => text == MapText.InDistribution ? "in-distribution" : "behaviour-free";

    // By arm and behaviour, the vectors that prompts take in turn.
    private async Task<Dictionary<Arm, Vector[][]>> ArmsAsync(LocatedModel source, LocatedModel target, PairVectors vectors, Vector[] learnt, uint[] targetLayers)
    {
        var arms = new Dictionary<Arm, Vector[][]>
        {
            [Arm.Mapped] = [.. (await vectors.TransferAsync(learnt, targetLayers, "", cancellation)).Select(vector => new[] { vector })],
            [Arm.Shuffled] = [.. (await vectors.TransferAsync(learnt, targetLayers, ".shuffled", cancellation)).Select(vector => new[] { vector })],
        };
        var random = await vectors.PutRandomAsync(RandomDirections, seed, cancellation);
        arms[Arm.Random] = [.. targetLayers.Select(_ => random)];
        var ofStates = new Dictionary<uint, Vector[]>();
        foreach (uint layer in targetLayers.Distinct())
        {
            float[] states = await vectors.StatesAsync(set.MapDocuments(MapText.InDistribution).Documents.Take(StateDocuments), layer, cancellation);
            ofStates[layer] = await vectors.PutRandomStatesAsync(RandomDirections, layer, states, seed, cancellation);
        }

        arms[Arm.RandomStates] = [.. targetLayers.Select(layer => ofStates[layer])];
        if (source.Model.Width == target.Model.Width)
        {
            arms[Arm.NoMap] = [.. (await vectors.PutUnmappedAsync(learnt, targetLayers, cancellation)).Select(vector => new[] { vector })];
        }

        return arms;
    }

    private async Task<(Dictionary<Arm, string[]>[] Texts, Dictionary<Arm, double[]>[] Outcomes)> GenerateAsync(
        string what, LocatedModel target, Choice[] choices, Dictionary<Arm, Vector[][]> arms, PromptInput[][] examples)
    {
        var planned = choices.SelectMany((choice, b) => Plan(choice, b)).ToArray();
        var outcomes = await terminal.ProgressAsync($"{what}: test prompts under all arms", report => TrialsOf(target).RunAsync([.. planned.Select(plan => plan.Trial)], report, cancellation));
        var byBehaviour = planned.Zip(outcomes, (plan, outcome) => (plan.Behaviour, plan.Arm, plan.Prompt, Outcome: outcome)).ToLookup(made => made.Behaviour);
        return (
            [.. choices.Select((_, b) => byBehaviour[b].GroupBy(made => made.Arm).ToDictionary(arm => arm.Key, arm => ByPrompt(arm, prompt => prompt.First().Outcome.Text)))],
            [.. choices.Select((_, b) => byBehaviour[b].GroupBy(made => made.Arm).ToDictionary(arm => arm.Key, arm => ByPrompt(arm, prompt => prompt.Average(made => made.Outcome.Shows ? 1.0 : 0.0))))]);

        static TResult[] ByPrompt<TResult>(IEnumerable<(int Behaviour, Arm Arm, int Prompt, Outcome Outcome)> arm, Func<IEnumerable<(int Behaviour, Arm Arm, int Prompt, Outcome Outcome)>, TResult> result) =>
            [.. arm.GroupBy(made => made.Prompt).OrderBy(prompt => prompt.Key).Select(result)];

        IEnumerable<(int Behaviour, Arm Arm, int Prompt, Trial Trial)> Plan(Choice choice, int b)
        {
            for (int p = 0; p < examples[b].Length; p++)
            {
                var plain = new Trial(choice.Behaviour, choice.Behaviour.Test[p], choice.Behaviour.Test[p].For(target.Model), Draws.Seed(seed, TestPurpose, b, p), null);
                yield return (b, Arm.None, p, plain);
                yield return (b, Arm.Prompt, p, plain with { Input = examples[b][p] });
                yield return (b, Arm.Native, p, plain with { Steering = By(choice, choice.Native, 1) });
                foreach (var (arm, vectors) in arms)
                {
                    int tried = Math.Min(vectors[b].Length, size.RandomPerPrompt);
                    for (int draw = 0; draw < tried; draw++)
                    {
                        yield return (b, arm, p, plain with { Steering = By(choice, vectors[b][((p * tried) + draw) % vectors[b].Length], 1) });
                    }
                }
            }
        }
    }

    private async Task<(Dictionary<Arm, DoseCurve>[] Curves, Dictionary<Arm, double[]>[] Shifts)> ScoreItemsAsync(
        string what, LocatedModel target, Choice[] choices, Dictionary<Arm, Vector[][]> arms, PromptInput[][] examples)
    {
        var planned = choices.SelectMany((choice, b) => Plan(choice, b)).ToArray();
        var scorer = new Scorer(mesh.Generation, target.Model, log);
        var scores = await terminal.ProgressAsync($"{what}: items of multiple choice under all arms", report => scorer.RunAsync([.. planned.Select(plan => plan.Item)], report, cancellation));
        var propensity = planned.Zip(scores).GroupBy(one => (one.First.Behaviour, one.First.Arm, one.First.Dose)).ToDictionary(
            group => group.Key, group => group.OrderBy(one => one.First.Prompt).Select(one => one.Second[0].Logprob - one.Second[1].Logprob).ToArray());

        var curves = choices.Select((_, b) => new[] { Arm.Native, Arm.Mapped, Arm.Random }.ToDictionary(arm => arm, arm =>
        {
            double[] doses = [.. Doses.Append(0).Order()];
            return new DoseCurve(doses, [.. doses.Select(dose => dose == 0 ? propensity[(b, Arm.None, 0)] : propensity[(b, arm, dose)])]);
        }));
        var shifts = choices.Select((_, b) => propensity.Keys.Where(key => key.Behaviour == b && key.Dose == 1).ToDictionary(
            key => key.Arm, key => propensity[key].Zip(propensity[(b, Arm.None, 0)], (steered, none) => steered - none).ToArray()));
        return ([.. curves], [.. shifts]);

        IEnumerable<(int Behaviour, Arm Arm, double Dose, int Prompt, ScoreItem Item)> Plan(Choice choice, int b)
        {
            for (int p = 0; p < Math.Min(size.Items, choice.Behaviour.Test.Count); p++)
            {
                var prompt = choice.Behaviour.Test[p];
                var plain = ScoreItem.Of(prompt, prompt.For(target.Model), null);
                yield return (b, Arm.None, 0, p, plain);
                yield return (b, Arm.Prompt, 1, p, ScoreItem.Of(prompt, examples[b][p], null));
                foreach (double dose in Doses)
                {
                    yield return (b, Arm.Native, dose, p, plain with { Steering = By(choice, choice.Native, dose) });
                }

                foreach (var (arm, vectors) in arms)
                {
                    foreach (double dose in arm is Arm.Mapped or Arm.Random ? Doses : [1])
                    {
                        yield return (b, arm, dose, p, plain with { Steering = By(choice, vectors[b][p % vectors[b].Length], dose) });
                    }
                }
            }
        }
    }

    private async Task<(double Perplexity, Cost[][] Native, Cost[][] Mapped)> CostsAsync(string what, LocatedModel target, Choice[] choices, Vector[][] mapped, double?[] equalDoses)
    {
        var heldOut = set.MapDocuments(MapText.InDistribution).HeldOut.Take(size.Documents).Select(Split).ToArray();
        string[] neutral = [.. set.MapDocuments(MapText.BehaviourFree).HeldOut.Take(size.Documents).Select(text => Split(text).Prompt)];
        var sampler = new Sampler(mesh.Generation, target.Model, log);
        var unsteered = await sampler.RunAsync([.. neutral.Select((prompt, p) => new Sample(prompt, Draws.Seed(seed, NeutralPurpose, p), null))], (_, _) => { }, cancellation);
        ScoreItem[] documents = [.. heldOut.Select(text => new ScoreItem(new PromptInput(text.Prompt), [new Continuation { Text = text.Continuation }], null))];
        ScoreItem[] samples = [.. neutral.Zip(unsteered, (prompt, text) => new ScoreItem(new PromptInput(prompt), [new Continuation { Ids = new TokenIds { Ids = { text.Ids } } }], null))];

        SteeredBy?[] steerings = [null, .. choices.SelectMany((choice, b) => Steerings(choice, b))];
        var items = steerings.SelectMany(steering => documents.Concat(samples).Select(item => item with { Steering = steering })).ToArray();
        var scorer = new Scorer(mesh.Generation, target.Model, log);
        var scores = await terminal.ProgressAsync($"{what}: held-out text and neutral prompts", report => scorer.RunAsync(items, report, cancellation));
        var bySteering = steerings.Zip(scores.Chunk(documents.Length + samples.Length)).Where(one => one.First is not null).ToDictionary(one => one.First!, one => one.Second);
        var plain = scores[..(documents.Length + samples.Length)];

        return (
            Perplexity(plain),
            [.. choices.Select(choice => CostDoses.Select(dose => CostOf(By(choice, choice.Native, dose), dose)).ToArray())],
            [.. choices.Select((choice, b) => MappedDoses(b).Select(dose => CostOf(By(choice, mapped[b][0], dose), dose)).ToArray())]);

        IEnumerable<double> MappedDoses(int b) => CostDoses.Concat(equalDoses[b] is { } dose ? [dose] : []).Distinct();

        IEnumerable<SteeredBy> Steerings(Choice choice, int b) =>
            CostDoses.Select(dose => By(choice, choice.Native, dose)).Concat(MappedDoses(b).Select(dose => By(choice, mapped[b][0], dose)));

        double Perplexity(Scored[][] of) => Math.Exp(-of.Take(documents.Length).Sum(score => score[0].Logprob) / of.Take(documents.Length).Sum(score => score[0].Tokens));

        // The mean over texts that the unsteered model wrote of log p(unsteered) − log p(steered) is the divergence, by its definition.
        Cost CostOf(SteeredBy steering, double dose) => new(
            dose,
            Perplexity(bySteering[steering]),
            (plain.Skip(documents.Length).Sum(score => score[0].Logprob) - bySteering[steering].Skip(documents.Length).Sum(score => score[0].Logprob)) / plain.Skip(documents.Length).Sum(score => score[0].Tokens));
    }

    private Trials TrialsOf(LocatedModel target) => Trials.Of(mesh.Generation, target.Model, log);

    // A random direction is stored for one layer and added at the behaviour's.
    private static SteeredBy By(Choice choice, Vector vector, double dose) => SteeredBy.Of(vector, dose * choice.Coefficient) with { Layer = choice.Native.Layer };

    // The title and the first sentence, and what comes then, up to a word's end; a text of one sentence is cut at a word in its first third.
    private static (string Prompt, string Continuation) Split(string text)
    {
        int body = text.IndexOf('\n', StringComparison.Ordinal) + 1;
        int end = text.IndexOfAny(['.', '!', '?', ';'], body) + 1;
        if (end == 0 || string.IsNullOrWhiteSpace(text[end..]))
        {
            end = text.IndexOf(' ', text.Length / 3);
        }

        int stop = text.IndexOf(' ', Math.Min(text.Length - 1, end + HeldOutCharacters));
        return (text[..end], stop < 0 ? text[end..] : text[end..stop]);
    }
}
