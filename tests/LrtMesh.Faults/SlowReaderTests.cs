using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.TestKit.Stores;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>Clients that ask for much and take nothing.</summary>
public sealed class SlowReaderTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int Width = 2048;
    private const long MapBytes = (long)Width * Width * sizeof(float);

    [Fact]
    public Task Readers_that_take_nothing() => Table.RunAsync(
        "slow readers",
        "each is cut after --max-idle-seconds; the role holds next to nothing for them; others are served",
        async () =>
        {
            var readers = FaultTable.Size(32, 256);
            await using (var store = await Mesh.StoreAsync())
            {
                await store.Maps.PutAsync(StoreSamples.Map("wide", 1, Width, Width), Ct);
            }

            await using var role = Mesh.OneMoreMapping("--max-idle-seconds", "3");
            await role.StartAsync();
            using var client = new MeshClient(new(role.Address, role.Address, role.Address));
            var whole = await TakenAsync(client); // the map is in the role's memory now, once
            await role.ForgetPeakAsync();
            var before = role.Resident;
            var clients = Enumerable.Range(0, readers / 8).Select(_ => new MeshClient(new(role.Address, role.Address, role.Address))).ToArray();
            var calls = Enumerable.Range(0, readers).Select(i => clients[i / 8].Mapping.ExportMap(new() { Map = "wide" }, cancellationToken: Ct)).ToArray();
            await Task.WhenAll(calls.Select(call => call.ResponseHeadersAsync));
            var beside = new Endings();
            for (var until = DateTime.UtcNow.AddSeconds(6); DateTime.UtcNow < until;)
            {
                await beside.CountAsync(async () => await client.Mapping.ListMapsAsync(new(), deadline: DateTime.UtcNow.AddSeconds(5), cancellationToken: Ct));
                await Task.Delay(20, Ct);
            }

            var (grown, cut, taken) = (role.Peak - before, 0, 0L);
            foreach (var call in calls)
            {
                try
                {
                    while (await call.ResponseStream.MoveNext(Ct))
                    {
                        taken += call.ResponseStream.Current.CalculateSize();
                    }
                }
                catch (RpcException)
                {
                    cut++;
                }

                call.Dispose();
            }

            foreach (var each in clients)
            {
                each.Dispose();
            }

            await client.Mapping.DeleteMapAsync(new() { Name = "wide" }, cancellationToken: Ct);
            return new(
                readers,
                $"{readers} readers of {Megabytes(MapBytes)} each: {cut} cut, after {Megabytes(taken)} together that lay on the way; the role's peak {Megabytes(grown)} above what it held; calls beside them: {beside}",
                readers - cut,
                whole >= MapBytes && cut == readers && grown < MapBytes * readers / 8 && beside.Total > 20 && beside[StatusCode.OK] == beside.Total);
        });

    private static async Task<long> TakenAsync(MeshClient client)
    {
        var bytes = 0L;
        using var call = client.Mapping.ExportMap(new() { Map = "wide" }, cancellationToken: Ct);
        while (await call.ResponseStream.MoveNext(Ct))
        {
            bytes += call.ResponseStream.Current.Chunk?.Data.Length ?? 0;
        }

        return bytes;
    }
}
