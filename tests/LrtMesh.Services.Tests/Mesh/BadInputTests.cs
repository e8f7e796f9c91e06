using Google.Rpc;
using Grpc.Core;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

public sealed class BadInputTests(MeshFixture mesh) : MeshTests(mesh)
{
    public static TheoryData<string> Names => [.. BadInput.Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Bad_input_is_refused_with_its_field_and_leaves_nothing(string name)
    {
        if (!(await StoredAsync()).Contains("map bad/map"))
        {
            await BadInput.PrepareAsync(Mesh, Ct);
        }

        var before = await StoredAsync();
        var bad = BadInput.Cases[name];
        var error = await Assert.ThrowsAnyAsync<RpcException>(() => bad.Call(Mesh, Ct));

        Assert.Equal(bad.Code, error.StatusCode);
        var status = error.GetRpcStatus()!;
        Assert.Equal(("lrtmesh", ReasonOf(bad.Code)), (status.GetDetail<ErrorInfo>().Domain, status.GetDetail<ErrorInfo>().Reason));
        var violation = status.GetDetail<Google.Rpc.BadRequest>().FieldViolations.FirstOrDefault(v => v.Field == bad.Field);
        Assert.True(violation is not null, $"names {string.Join(", ", status.GetDetail<Google.Rpc.BadRequest>().FieldViolations.Select(v => v.Field))}");
        Assert.Contains(bad.Says, violation.Description, StringComparison.Ordinal);
        Assert.Equal(bad.Code == StatusCode.NotFound, status.GetDetail<ResourceInfo>() is not null);
        Assert.Equal(before, await StoredAsync());
    }

    [Fact]
    public async Task All_wrong_fields_are_named_at_once()
    {
        var request = new GenerateRequest
        {
            Model = "target",
            Prompt = "",
            Sampling = new Sampling { Temperature = 11, TopP = 2 },
            Stopping = new Stopping { MaxTokens = 1000, Stop = { "" } },
        };
        var error = await Assert.ThrowsAnyAsync<RpcException>(() => Mesh.Generation.AnswerAsync(request, Ct));

        var fields = error.GetRpcStatus()!.GetDetail<Google.Rpc.BadRequest>().FieldViolations.Select(v => v.Field);
        Assert.Equal(["prompt", "sampling.temperature", "sampling.top_p", "stopping.max_tokens", "stopping.stop[0]"], fields);
    }

    private async Task<string[]> StoredAsync() =>
    [
        .. (await Mesh.Vectors.ListVectorsAsync(new() { PageSize = 1000 }, cancellationToken: Ct)).Vectors.Select(vector => $"vector {vector.Name}"),
        .. (await Mesh.Mapping.ListMapsAsync(new() { PageSize = 1000 }, cancellationToken: Ct)).Maps.Select(map => $"map {map.Name}"),
        .. (await Mesh.Mapping.ListMapJobsAsync(new() { PageSize = 1000 }, cancellationToken: Ct)).Jobs.Select(job => $"job {job.Id} {job.State}"),
    ];

    private static string ReasonOf(StatusCode code) => code switch
    {
        StatusCode.InvalidArgument => "INVALID_ARGUMENT",
        StatusCode.OutOfRange => "OUT_OF_RANGE",
        StatusCode.NotFound => "NOT_FOUND",
        StatusCode.FailedPrecondition => "FAILED_PRECONDITION",
        _ => throw new ArgumentOutOfRangeException(nameof(code)),
    };
}
