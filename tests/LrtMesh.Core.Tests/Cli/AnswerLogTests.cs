using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class AnswerLogTests : IDisposable
{
    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("lrtmesh-answers-").FullName, "answers.log");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    [Fact]
    public async Task What_was_asked_is_not_asked_again_also_by_the_next_run()
    {
        int asked = 0;
        Task<SampledText> AskAsync() => Task.FromResult(new SampledText($"text {++asked}\n\t}}", [1, 2]));
        using (var log = new AnswerLog(_path))
        {
            Assert.Equal("text 1\n\t}", (await log.GetAsync("a", AskAsync)).Text);
            Assert.Equal("text 1\n\t}", (await log.GetAsync("a", AskAsync)).Text);
        }

        using (var log = new AnswerLog(_path))
        {
            var kept = await log.GetAsync("a", AskAsync);
            Assert.Equal(("text 1\n\t}", 1), (kept.Text, asked));
            Assert.Equal([1u, 2u], kept.Ids);
            Assert.Equal("text 2\n\t}", (await log.GetAsync("b", AskAsync)).Text);
        }
    }

    [Fact]
    public async Task A_line_that_was_cut_off_is_asked_again()
    {
        await File.WriteAllTextAsync(_path, "a\t[{\"Logprob\":-1,\"Tokens\":2}]\nb\t[{\"Logprob\":-1,", TestContext.Current.CancellationToken);
        using (var log = new AnswerLog(_path))
        {
            Assert.Equal(-1, (await log.GetAsync<Scored[]>("a", () => throw new InvalidOperationException()))[0].Logprob);
            Assert.Equal(-3, (await log.GetAsync("b", () => Task.FromResult(new[] { new Scored(-3, 1) })))[0].Logprob);
        }

        using (var log = new AnswerLog(_path))
        {
            Assert.Equal(-3, (await log.GetAsync<Scored[]>("b", () => throw new InvalidOperationException()))[0].Logprob);
        }
    }

    [Fact]
    public void A_key_is_of_contents_and_not_of_names()
    {
        var request = new GenerateRequest { Model = "m", Prompt = "Once", Sampling = new Sampling { Seed = 3 } };
        var steering = new SteeredBy("evaluate/1/polite", "sha256:1", 2, 0.5);
        string key = AnswerLog.Key("d", request, steering);
        Assert.Equal(key, AnswerLog.Key("d", request.Clone(), steering with { Vector = "evaluate/2/polite" }));
        string[] others =
        [
            AnswerLog.Key("e", request, steering), AnswerLog.Key("d", request, null), AnswerLog.Key("d", request, steering with { Digest = "sha256:2" }),
            AnswerLog.Key("d", request, steering with { Coefficient = 0.25 }), AnswerLog.Key("d", request, steering with { Layer = 3 }), AnswerLog.Key("d", request, steering with { Positions = PositionRule.All }),
            AnswerLog.Key("d", new GenerateRequest(request) { Prompt = "Twice" }, steering),
        ];
        Assert.Equal(others.Length + 1, others.Append(key).Distinct().Count());
    }
}
