using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Generation;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>What one tenant makes over real roles, another neither sees nor uses: it is not found, as if it had never been.</summary>
public sealed class TenantTests(MeshFixture mesh) : AccessTests(mesh)
{
    [Fact]
    public async Task What_one_tenant_has_made_is_not_there_for_another()
    {
        await using var mapping = await StartAsync(Options(new() { Tokens = Issuer.Options }) with
        {
            Endpoints = () => [Mesh.Mesh.Extraction!.Address, Mesh.Mesh.Generation!.Address], // which ask for no tokens
        });
        await using var generation = GenerationRole.Build(new()
        {
            Redis = Mesh.Mesh.Store.Split(' ')[1],
            Models = [new("target", Path.Combine(Mesh.Folder, "target"))],
            Access = new() { Tokens = Issuer.Options },
        });
        await generation.StartAsync(Ct);
        CountTensors();
        using var a = new Tenant(mapping, generation, Issuer.Token("extract map:read map:write generate", "a"));
        using var b = new Tenant(mapping, generation, Issuer.Token("extract map:read map:write generate", "b"));
        using var nobody = new Tenant(mapping, generation, Issuer.Token("extract map:read map:write generate"));

        var vector = (await a.Vectors.PutVectorAsync(
            new() { Vector = new() { Name = "mine", Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } }, Elements = MeshCalls.Elements([.. Enumerable.Range(0, 16).Select(i => i - 7.5f)]) }, cancellationToken: Ct)).Vector;
        var request = new CreateMapJobRequest
        {
            Map = "mine",
            Source = new() { Model = "source", Layer = 1 },
            Target = new() { Model = "target", Layer = 2 },
            Documents = { TinyCheckpoint.Texts(60).Select(text => new Document { Text = text }) },
            RequestId = "the same",
            KeepMoments = true,
        };
        var job = await a.Mapping.RunJobAsync(request, Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal(job.Result.Digest, (await a.Mapping.GetMapAsync(new() { Name = "mine" }, cancellationToken: Ct)).Map.Digest);
        var steered = new GenerateRequest
        {
            Model = "target", Prompt = "The cat", Stopping = new() { MaxTokens = 2 }, Steering = { new Steering { Vector = "mine", Map = "mine", Layer = 2, Coefficient = 1 } },
        };
        Assert.Equal(job.Result.Digest, Assert.Single((await a.Generation.AnswerAsync(steered, Ct)).Finished.Steering).MapDigest);

        foreach (var other in new[] { b, nobody })
        {
            Func<Task>[] calls =
            [
                async () => await other.Vectors.GetVectorAsync(new() { Name = "mine" }, cancellationToken: Ct),
                async () => await other.Vectors.DeleteVectorAsync(new() { Name = "mine" }, cancellationToken: Ct),
                async () => await other.Mapping.GetMapAsync(new() { Name = "mine" }, cancellationToken: Ct),
                async () => await other.Mapping.DeleteMapAsync(new() { Name = "mine" }, cancellationToken: Ct),
                async () => await other.Mapping.ApplyMapAsync(new() { Map = "mine", Rows = Core.Tensors.TensorCodec.Encode(new float[16], 1, 16) }, cancellationToken: Ct),
                async () => await other.Mapping.ExportMap(new() { Map = "mine" }, cancellationToken: Ct).ResponseStream.MoveNext(Ct),
                async () => await other.Mapping.TransferVectorAsync(new() { Vector = "mine", Map = "mine", Name = "theirs" }, cancellationToken: Ct),
                async () => await other.Mapping.GetMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct),
                async () => await other.Mapping.CancelMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct),
                async () => await other.Mapping.EndedAsync(job.Id, Ct),
                async () => await other.Generation.AnswerAsync(steered, Ct),
            ];
            foreach (var call in calls)
            {
                Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(call)).StatusCode);
            }

            Assert.DoesNotContain("mine", (await other.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors.Select(listed => listed.Name));
            Assert.DoesNotContain("mine", (await other.Mapping.ListMapsAsync(new(), cancellationToken: Ct)).Maps.Select(listed => listed.Name));
            Assert.DoesNotContain(job.Id, (await other.Mapping.ListMapJobsAsync(new(), cancellationToken: Ct)).Jobs.Select(listed => listed.Id));
        }

        // Another's moments are not merged, and a request id of theirs is another request.
        var merge = request.Clone();
        merge.RequestId = "";
        merge.MomentsOf.Add(job.Id);
        merge.Documents.Clear();
        Assert.Contains("has no moments", (await b.Mapping.RunJobAsync(merge, Ct)).Error, StringComparison.Ordinal);
        var theirs = await b.Mapping.RunJobAsync(request, Ct);
        Assert.NotEqual(job.Id, theirs.Id);
        Assert.Equal(job.Id, (await a.Mapping.CreateMapJobAsync(request, cancellationToken: Ct)).Job.Id);

        // Of one name, each deletes its own; what was mapped for one names nothing of the other's.
        await b.Vectors.PutVectorAsync(new() { Vector = new(vector) { Name = "mine" }, Elements = MeshCalls.Elements([.. Enumerable.Range(0, 16).Select(i => i - 7.5f)]) }, cancellationToken: Ct);
        Assert.Equal(theirs.Result.Digest, Assert.Single((await b.Generation.AnswerAsync(steered, Ct)).Finished.Steering).MapDigest);
        await b.Vectors.DeleteVectorAsync(new() { Name = "mine" }, cancellationToken: Ct);
        Assert.Equal(vector.Digest, (await a.Vectors.GetVectorAsync(new() { Name = "mine" }, cancellationToken: Ct)).Vector.Digest);
    }

    private sealed class Tenant(RoleHost mapping, RoleHost generation, string token) : IDisposable
    {
        private readonly Grpc.Net.Client.GrpcChannel _mapping = Open(mapping, token);
        private readonly Grpc.Net.Client.GrpcChannel _generation = Open(generation, token);

        public MappingService.MappingServiceClient Mapping => new(_mapping);

        public VectorService.VectorServiceClient Vectors => new(_mapping);

        public GenerationService.GenerationServiceClient Generation => new(_generation);

        public void Dispose()
        {
            _mapping.Dispose();
            _generation.Dispose();
        }

        private static Grpc.Net.Client.GrpcChannel Open(RoleHost role, string token) => MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority), new() { Token = token });
    }
}
