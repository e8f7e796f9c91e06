using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LrtMesh.Services.Tests.Limits;

/// <summary>A server whose disk fails amid a call: its client is not told that it has ended the call itself.</summary>
public sealed class FailedFileTests
{
    [Fact]
    public async Task A_file_that_fails_is_no_client_that_is_gone()
    {
        var ct = TestContext.Current.CancellationToken;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc(options => options.Interceptors.Add<ErrorInterceptor>());
        await using var server = builder.Build();
        server.MapGrpcService<FailingVectors>();
        await server.StartAsync(ct);
        using var channel = GrpcChannel.ForAddress(server.Urls.Single());
        var error = await Assert.ThrowsAsync<RpcException>(async () => await new VectorService.VectorServiceClient(channel).GetVectorAsync(new(), cancellationToken: ct));

        Assert.Equal(StatusCode.Internal, error.StatusCode);
        Assert.Contains("the server's log has it", error.Status.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain("disk", error.Status.Detail, StringComparison.Ordinal);
    }

    private sealed class FailingVectors : VectorService.VectorServiceBase
    {
        public override Task<GetVectorResponse> GetVector(GetVectorRequest request, ServerCallContext context) => throw new IOException("a disk's own words");
    }
}
