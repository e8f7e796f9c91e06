using System.Text.Json;
using LrtMesh.Cli;
using LrtMesh.Cli.Evaluation;
using LrtMesh.Cli.Report;
using LrtMesh.V1;
using Xunit;
using Behaviour = LrtMesh.Cli.Behaviour;

namespace LrtMesh.Core.Tests.Cli;

public sealed class EvaluationReportTests
{
    private static readonly double[] Doses = [-1, -0.5, 0, 0.5, 1, 1.5];

    // Two behaviours: the mapped vector keeps half of the one's effect and all of the other's; a third is not steerable.
    private static readonly EvaluationFacts Facts = new(
        [new PairSummary(Pair([Result("polite", 0.5, true), Result("dogs", 1, true), Result("<weather>", 0, false)]), 1)],
        Sweeps: [],
        EvaluationSize.Quick, Quick: true, Seed: 1, "sha256:b", Brought: false, "lrtmesh evaluate --report r", "0.1.0");

    [Fact]
    public void The_json_has_the_names_that_programs_rely_on()
    {
        var json = JsonSerializer.SerializeToNode(Facts.ToJson(1), JsonFile.Options)!;
        var pair = json["pairs"]![0]!.AsObject();
        Assert.Equal(("s", "t", "architecture", "behaviour-free"), ((string)pair["source"]!, (string)pair["target"]!, (string)pair["kind"]!, (string)pair["map_text"]!));
        Assert.Equal(0.75, (double)pair["share_kept"]!["pooled"]!, 3);
        Assert.Equal((0.75, 0.5, 0.0), ((double)pair["share_kept"]!["median"]!, (double)pair["share_kept"]!["worst"]!, (double)pair["share_kept"]!["random"]!));
        Assert.Equal(0.75, (double)pair["share_kept"]!["slopes"]!, 3);
        foreach (string name in "low high random_low random_high shuffled".Split(' '))
        {
            Assert.NotNull(pair["share_kept"]![name]);
        }

        Assert.Equal((0.8, 2.0, 1.5), ((double)pair["map"]!["r2"]!, (double)pair["map"]!["stitched_ce"]!, (double)pair["map"]!["native_ce"]!));
        var behaviour = pair["behaviours"]![0]!.AsObject();
        string[] names = "name steerable coefficient prompts none native mapped random shuffled prompt share_kept pearson pearson_shift slope_native slope_mapped wrong_way ppl_none ppl_native ppl_mapped kl_native kl_mapped cosine".Split(' ');
        Assert.All(names, name => Assert.True(behaviour.ContainsKey(name), name));
        // Half as strong a vector has the effect at twice the dose, which was not tried; what was not measured is null.
        Assert.Null(behaviour["ppl_mapped"]);
        Assert.Equal(4.0, (double)pair["behaviours"]![1]!["ppl_mapped"]!);
        Assert.Null(pair["behaviours"]![2]!["share_kept"]);
    }

    [Fact]
    public void The_page_asks_for_nothing_and_shows_what_came_out()
    {
        var figures = Facts.Pairs.Select(pair => HtmlReport.FiguresOf(pair, 1)).ToArray();
        string page = new HtmlReport(Facts, 60).Write(figures);
        foreach (string request in new[] { "src=", "<link", "@import", "url(http", "<script", "href=\"http" })
        {
            Assert.DoesNotContain(request, page, StringComparison.OrdinalIgnoreCase);
        }

        Assert.Contains("<b>R = 0.75</b>", page, StringComparison.Ordinal);
        Assert.Contains("&lt;weather&gt;", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<weather>", page, StringComparison.Ordinal);
        Assert.Contains("lrtmesh evaluate --report r", page, StringComparison.Ordinal);
        Assert.Equal(figures[0].Count, page.Split("<svg ").Length - 1);
        string[] names = [.. page.Split(" id=\"").Skip(1).Select(rest => rest[..rest.IndexOf('"', StringComparison.Ordinal)])];
        Assert.Equal(names.Length, names.Distinct().Count());
        Assert.All(page.Split("url(#").Skip(1), rest => Assert.Contains(rest[..rest.IndexOf(')', StringComparison.Ordinal)], names));
    }

    [Fact]
    public void Tables_for_programs_have_a_row_each()
    {
        Assert.Equal(1 + 3, Facts.BehavioursCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(1 + (3 * 3 * Doses.Length), Facts.DosesCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.All(Facts.BehavioursCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Equal(36, line.Count(c => c == ',')));
    }

    [Fact]
    public void Sweeps_are_drawn_tabulated_and_given_to_programs()
    {
        SweepPoint Point(string setting, double? x, (uint, uint)? layers, double r2, double share) =>
            new(setting, x, layers, r2, new Estimate(share, share - 0.1, share + 0.1), new Estimate(share, share, share), new Estimate(1, 1, 1), new Estimate(share, share, share), 3);
        var facts = Facts with
        {
            Sweeps =
            [
                new EffectSweep("layers", "Which layers map?", [Point("0 → 0", null, (0, 0), 0.1, 0.3), Point("0 → 1", null, (0, 1), 0.5, 0.2), Point("1 → 0", null, (1, 0), 0.6, 0.6), Point("1 → 1", null, (1, 1), 0.9, 0.8)]),
                new EffectSweep("tokens", "How much text?", [Point("5 documents", 1000, null, 0.2, 0.1), Point("400 documents", 90_000, null, 0.9, 0.8)]),
                new EffectSweep("solver", "Does <fitting> matter?", [Point("ridge", null, null, 0.9, 0.8), new SweepPoint("nothing", null, null, null, null, null, null, null, 0)]),
            ],
        };
        // Ranks 1 2 3 4 against 2 1 3 4.
        Assert.Equal(0.8, facts.Sweeps[0].MapAgainstEffect!.Value, 1e-12);
        Assert.Null(facts.Sweeps[1].MapAgainstEffect);

        string page = new HtmlReport(facts, 60).Write([.. facts.Pairs.Select(pair => HtmlReport.FiguresOf(pair, 1))]);
        string plain = new HtmlReport(Facts, 60).Write([.. Facts.Pairs.Select(pair => HtmlReport.FiguresOf(pair, 1))]);
        Assert.Equal(plain.Split("<svg ").Length + 4, page.Split("<svg ").Length); // two heat maps, a curve and a list
        Assert.Contains("Does &lt;fitting&gt; matter?", page, StringComparison.Ordinal);
        Assert.DoesNotContain("id=\"sweeps\"", plain, StringComparison.Ordinal);

        Assert.Equal(1 + 8, facts.SweepsCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        var json = JsonSerializer.SerializeToNode(facts.ToJson(1), JsonFile.Options)!["sweeps"]![0]!;
        Assert.Equal(("layers", 4, 0.6), ((string)json["name"]!, json["points"]!.AsArray().Count, (double)json["points"]![2]!["share_kept"]!["value"]!));
    }

    private static PairResult Pair(BehaviourResult[] behaviours)
    {
        var role = new ModelRole("generation", null!, null!);
        var map = new AffineMap
        {
            Source = new LayerRef { Model = "s", Layer = 1 },
            Target = new LayerRef { Model = "t", Layer = 2 },
            Metrics = new MapMetrics { R2 = 0.8, StitchedLoss = new StitchedLoss { Native = 1.5, Stitched = 2 } },
        };
        return new PairResult(
            new ModelPair("s", "t", "architecture"), new LocatedModel(new Model { Name = "s" }, role), new LocatedModel(new Model { Name = "t" }, role), MapText.BehaviourFree, "sha256:m", MapWindow: 64, MapDocuments: 400, [map], behaviours, Perplexity: 3);
    }

    private static BehaviourResult Result(string name, double kept, bool steerable)
    {
        var prompts = Enumerable.Range(0, 8).Select(i => new BehaviourPrompt($"prompt {i}", "+", "-", [])).ToArray();
        var behaviour = new Behaviour(name, "", 0.3, new Detector("x", ""), [], [], prompts);
        double[] none = [0, 0, 0, 0, 0, 0, 0, 0];
        double[] native = [1, 1, 1, 1, 1, 1, 1, 1];
        double[] mapped = [.. none.Select((_, i) => i < 8 * kept ? 1.0 : 0.0)];
        DoseCurve Curve(double slope) => new(Doses, [.. Doses.Select(dose => Enumerable.Range(0, 4).Select(item => item + (slope * dose * (1 + (item / 10.0)))).ToArray())]);
        Arm[] arms = [Arm.None, Arm.Native, Arm.Mapped, Arm.Random, Arm.Shuffled, Arm.Prompt];
        var curves = new Dictionary<Arm, DoseCurve> { [Arm.Native] = Curve(2), [Arm.Mapped] = Curve(2 * kept), [Arm.Random] = Curve(0) };
        double? equal = curves[Arm.Mapped].DoseOf(curves[Arm.Native].Shifts(1).Average());
        Cost[] costs = [new(0.5, 3.5, 0.1), new(1, 4, 0.2), new(1.5, 5, 0.3)];
        return new BehaviourResult(
            new Choice(behaviour, new Vector { Layer = 2, Digest = "sha256:v" }, 4, steerable ? 0.5 : 0.1, 0.001),
            SourceLayer: 1,
            [.. prompts.Select(prompt => prompt.Text)],
            arms.ToDictionary(arm => arm, arm => prompts.Select(_ => "a text").ToArray()),
            arms.ToDictionary(arm => arm, arm => arm switch { Arm.Native => native, Arm.Mapped => mapped, _ => none }),
            curves,
            curves.ToDictionary(curve => curve.Key, curve => curve.Value.Shifts(1)),
            Cosine: 0.9,
            costs,
            costs,
            equal);
    }
}
