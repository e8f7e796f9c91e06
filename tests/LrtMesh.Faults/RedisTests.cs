using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using LrtMesh.TestKit.Stores;
using LrtMesh.V1;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>The store fails.</summary>
public sealed class RedisTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int Width = FaultMesh.TargetWidth;

    [Fact]
    public Task Redis_is_killed_under_writes() => Table.RunAsync(
        "Redis killed (SIGKILL) and restarted under writes",
        "appendonly yes, appendfsync always: no acknowledged write is lost; meanwhile writes are UNAVAILABLE",
        async () =>
        {
            var (writes, kills) = FaultTable.Size((1_000, 4), (10_000, 20));
            var (next, acknowledged, endings) = (-1, 0, new Endings());
            var writers = Enumerable.Range(0, 4).Select(_ => Task.Run(
                async () =>
                {
                    for (var i = Interlocked.Increment(ref next); i < writes; i = Interlocked.Increment(ref next))
                    {
                        while (await endings.CountAsync(async () => await Mesh.Client.Vectors.PutVectorAsync(Put(i), deadline: DateTime.UtcNow.AddSeconds(60), cancellationToken: Ct)) != StatusCode.OK)
                        {
                            await Task.Delay(50, Ct);
                        }

                        Interlocked.Increment(ref acknowledged);
                    }
                },
                Ct)).ToArray();
            for (var kill = 1; kill <= kills; kill++)
            {
                while (Volatile.Read(ref acknowledged) < writes * kill / (kills + 1))
                {
                    await Task.Delay(1, Ct);
                }

                await Mesh.Redis.KillAsync();
                await Task.Delay(200, Ct);
                await Mesh.Redis.StartAsync();
            }

            await Task.WhenAll(writers);
            await Mesh.Redis.KillAsync(); // what was acknowledged last too
            await Mesh.Redis.StartAsync();
            var lost = 0;
            await using var store = await Mesh.StoreAsync();
            for (var i = 0; i < writes; i++)
            {
                try
                {
                    lost += (await store.Vectors.GetAsync(Name(i), Ct)).Elements.SequenceEqual(Elements(i)) ? 0 : 1;
                    await store.Vectors.DeleteAsync(Name(i), Ct);
                }
                catch (LrtMeshException e) when (e.Reason is ErrorReason.NotFound or ErrorReason.DataLoss)
                {
                    lost++;
                }
            }

            return new(
                kills + 1,
                $"{acknowledged:N0} writes acknowledged over {kills + 1} kills, {lost} of them lost; tries ended: {endings}",
                lost,
                acknowledged == writes && lost == 0 && endings[StatusCode.OK] + endings[StatusCode.Unavailable] == endings.Total);
        });

    [Fact]
    public Task A_record_is_corrupted() => Table.RunAsync(
        "Redis record corrupted",
        "DATA_LOSS, naming the record; never read, never steered with; whole records beside it serve",
        async () =>
        {
            var each = FaultTable.Size(10, 100);
            var kinds = Enum.GetValues<Damage>();
            var (reads, steered, used, unnamed, whole) = (new Endings(), new Endings(), 0, 0, 0);
            await using var raw = await ConnectionMultiplexer.ConnectAsync(Mesh.Redis.Address);
            for (var i = 0; i < each * kinds.Length; i++)
            {
                var (name, kind) = (Name(i), kinds[i % kinds.Length]);
                await using (var store = await Mesh.StoreAsync()) // no role has it in memory
                {
                    await store.Vectors.PutAsync(Core.Steering.SteeringVector.Create(Put(i).Vector, Elements(i)), Ct);
                }

                await DamageAsync(raw.GetDatabase(), $"lrtmesh:vector:{{{name}}}", kind, i);
                used += await reads.CountAsync(NamingAsync(async () => await Mesh.Client.Vectors.GetVectorAsync(new() { Name = name }, cancellationToken: Ct))) == StatusCode.OK ? 1 : 0;
                var request = FaultMesh.Request(1);
                request.Steering.Add(new Steering { Vector = name, Coefficient = 1 });
                used += await steered.CountAsync(NamingAsync(() => Mesh.Client.Generation.AnswerAsync(request, Ct))) == StatusCode.OK ? 1 : 0;
                await raw.GetDatabase().KeyDeleteAsync($"lrtmesh:vector:{{{name}}}");

                Func<Task> NamingAsync(Func<Task> call) => async () =>
                {
                    try
                    {
                        await call();
                    }
                    catch (RpcException e)
                    {
                        unnamed += e.Status.Detail.Contains(name, StringComparison.Ordinal) ? 0 : 1;
                        throw;
                    }
                };
            }

            await Mesh.Client.Vectors.PutVectorAsync(Put(0), cancellationToken: Ct);
            whole += (await Mesh.Client.Vectors.GetVectorAsync(new() { Name = Name(0) }, cancellationToken: Ct)).Elements.Equals(Put(0).Elements) ? 1 : 0;
            await Mesh.Client.Vectors.DeleteVectorAsync(new() { Name = Name(0) }, cancellationToken: Ct);
            return new(
                each * kinds.Length,
                $"{each} records for each of {kinds.Length} kinds of damage; reads: {reads}; generations steered with one: {steered}; {unnamed} that did not name it; put anew, {whole} of 1 served",
                used,
                used == 0 && unnamed == 0 && whole == 1 && reads[StatusCode.DataLoss] == reads.Total && steered[StatusCode.DataLoss] == steered.Total);
        });

    private enum Damage
    {
        OtherBytes,
        TooShort,
        TooLong,
        Missing,
        OtherLength,
        HugeLength,
        OtherPieces,
        OtherDescription,
        OtherSchema,
    }

    private static async Task DamageAsync(IDatabase database, string header, Damage kind, int seed)
    {
        RedisKey piece = $"{header}:{await database.HashGetAsync(header, "write")}:0";
        var bytes = (byte[])(await database.StringGetAsync(piece))!;
        switch (kind)
        {
            case Damage.OtherBytes:
                bytes[seed % bytes.Length] ^= (byte)(1 << (seed % 8));
                await database.StringSetAsync(piece, bytes);
                break;
            case Damage.TooShort: await database.StringSetAsync(piece, bytes[..(seed % bytes.Length)]); break;
            case Damage.TooLong: await database.StringSetAsync(piece, (byte[])[.. bytes, (byte)seed]); break;
            case Damage.Missing: await database.KeyDeleteAsync(piece); break;
            case Damage.OtherLength: await database.HashSetAsync(header, "length", bytes.Length + 4); break;
            case Damage.HugeLength: await database.HashSetAsync(header, [new("length", 1L << 50), new("pieces", 1L << 28)]); break;
            case Damage.OtherPieces: await database.HashSetAsync(header, "pieces", 2); break;
            case Damage.OtherDescription:
                await database.HashSetAsync(header, "info", (byte[])[.. (byte[])(await database.HashGetAsync(header, "info"))!, 8, 1]);
                break;
            default: await database.HashSetAsync(header, "schema", 0); break;
        }
    }

    private static string Name(int i) => $"fault/{i}";

    private static PutVectorRequest Put(int i) => new()
    {
        Vector = new() { Name = Name(i), Model = "target", Layer = 1, Provenance = new() { Method = VectorMethod.Given } },
        Elements = TensorCodec.Encode(Elements(i), Width),
    };

    /// <summary>Elements that no other number has.</summary>
    private static float[] Elements(int i) => [.. Enumerable.Range(0, Width).Select(at => i + (at * 1e-3f) + 1)];
}
