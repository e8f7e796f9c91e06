using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace LrtMesh.Services.Tests.Mesh;

public sealed class ModelTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task Models_are_listed_by_name_and_described()
    {
        var listed = (await Mesh.Models.ListModelsAsync(new(), cancellationToken: Ct)).Models;

        Assert.Equal(["source", "stranger"], listed.Select(model => model.Name));
        Assert.Equal((3u, 16u, 96u), (listed[0].Layers, listed[0].Width, listed[0].Context));
        Assert.NotEqual(listed[0].TokenizerDigest, listed[1].TokenizerDigest);
        Assert.Equal(listed[0], (await Mesh.Models.GetModelAsync(new() { Name = "source" }, cancellationToken: Ct)).Model);
    }

    [Fact]
    public async Task A_text_is_split_and_joined_again()
    {
        const string Text = "The fenêtre 🌟 and tea.";
        var split = await Mesh.Models.TokenizeAsync(new() { Model = "source", Text = Text, AddSpecialTokens = true }, cancellationToken: Ct);

        Assert.Equal(split.Tokens[0].CharStart, split.Tokens[0].CharEnd);
        Assert.Equal(Text, string.Concat(split.Tokens.Skip(1).Select(token => token.Text)));
        Assert.Equal((uint)Text.Length, split.Tokens[^1].CharEnd);
        var joined = await Mesh.Models.TokenizeAsync(
            new() { Model = "source", TokenIds = new TokenIds { Ids = { split.Tokens.Select(token => token.Id) } } }, cancellationToken: Ct);
        Assert.Equal(Text, joined.Text);
    }

    [Fact]
    public async Task Every_service_is_healthy_and_shows_itself()
    {
        foreach (var (channel, services) in new[]
        {
            (Mesh.ExtractionChannel, new[] { "lrtmesh.v1.ModelService", "lrtmesh.v1.ExtractionService" }),
            (Mesh.MappingChannel, ["lrtmesh.v1.MappingService", "lrtmesh.v1.VectorService"]),
            (Mesh.GenerationChannel, ["lrtmesh.v1.GenerationService", "lrtmesh.v1.ModelService", "lrtmesh.v1.ExtractionService"]),
        })
        {
            var health = new Health.HealthClient(channel);
            foreach (var service in services.Append(""))
            {
                Assert.Equal(ServingStatus.Serving, (await health.CheckAsync(new() { Service = service }, cancellationToken: Ct)).Status);
            }

            using var reflection = new ServerReflection.ServerReflectionClient(channel).ServerReflectionInfo(cancellationToken: Ct);
            await reflection.RequestStream.WriteAsync(new() { ListServices = "" }, Ct);
            Assert.True(await reflection.ResponseStream.MoveNext(Ct));
            var shown = reflection.ResponseStream.Current.ListServicesResponse.Service.Select(service => service.Name);
            Assert.Subset(shown.ToHashSet(), services.ToHashSet());
            await reflection.RequestStream.CompleteAsync();
        }
    }
}
