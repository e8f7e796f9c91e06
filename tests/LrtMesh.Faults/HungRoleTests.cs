using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>A role that is there and does nothing, so that no connection is closed.</summary>
public sealed class HungRoleTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private static readonly TimeSpan Noticed = TimeSpan.FromSeconds(60 + 20 + 20); // a ping after 60 s, its answer within 20 s, and some to spare

    [Fact]
    public Task A_role_hangs() => Table.RunAsync(
        "mapping that hangs (SIGSTOP) in mid-stream",
        "a C# client's streams end with UNAVAILABLE, 80 s after the last that came; the same client is served when the role goes on",
        async () =>
        {
            var streams = FaultTable.Size(16, 90);
            await using var role = Mesh.OneMoreMapping();
            await role.StartAsync();
            using var client = new MeshClient(new(role.Address, role.Address, role.Address));
            var calls = await Task.WhenAll(Enumerable.Range(0, streams).Select(_ => BegunAsync(client)));
            await role.PauseAsync();
            var (clock, endings) = (Stopwatch.StartNew(), new Endings());
            try
            {
                await Task.WhenAll(calls.Select(call => endings.CountAsync(() => call.ResponseStream.MoveNext(Ct)))).WaitAsync(Noticed, Ct);
            }
            catch (TimeoutException)
            {
                // Counted below as what has not ended.
            }

            var took = clock.Elapsed;
            await role.ResumeAsync();
            var after = new Endings();
            await after.CountAsync(async () => (await BegunAsync(client)).Dispose());
            Array.ForEach(calls, call => call.Dispose());
            return new(
                streams,
                $"of {streams} streams {endings}, after {took.TotalSeconds:F0} s; then {after}",
                streams - endings.Total,
                endings[StatusCode.Unavailable] == streams && after[StatusCode.OK] == 1);
        });

    /// <summary>A stream of which an answer has come, and that waits for the next.</summary>
    private static async Task<AsyncDuplexStreamingCall<StreamMapRequest, StreamMapResponse>> BegunAsync(MeshClient client)
    {
        var call = client.Mapping.StreamMap(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new() { Map = "m" } }, Ct);
        await call.RequestStream.WriteAsync(new() { Rows = TensorCodec.Encode(new float[FaultMesh.SourceWidth], 1, FaultMesh.SourceWidth) }, Ct);
        return await call.ResponseStream.MoveNext(Ct) ? call : throw new RpcException(new(StatusCode.DataLoss, "the stream ended before its first answer"));
    }
}
