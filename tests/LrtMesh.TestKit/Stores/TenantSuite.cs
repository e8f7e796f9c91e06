using LrtMesh.Core;
using LrtMesh.Core.Store;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>Tenants: what one has, another does not find, on every store.</summary>
public abstract class TenantSuite<TServer>(StoreFixture<TServer> fixture) : MeshStoreSuite<TServer>(fixture)
    where TServer : StoreServer, new()
{
    private readonly string _tenants = Guid.NewGuid().ToString("N");

    [Fact]
    public async Task A_name_is_another_record_for_each_tenant()
    {
        var name = Prefix + "v";
        TenantStore[] stores = [Store, Store.For($"{_tenants}/a"), Store.For($"{_tenants}/b")];
        for (var i = 0; i < stores.Length; i++)
        {
            await FailsAsync(ErrorReason.NotFound, name, () => stores[i].Vectors.GetAsync(name, Ct));
            await stores[i].Vectors.PutAsync(StoreSamples.Vector(name, i), Ct);
            await stores[i].Maps.PutAsync(StoreSamples.Map(name, i, 3, 4), Ct);
        }

        // From memory and, by another client, from the server.
        await using var other = await ConnectAsync(Server);
        foreach (var store in new[] { Store, other })
        {
            Assert.Equal(StoreSamples.Vector(name, 0).Info.Digest, (await store.Vectors.GetAsync(name, Ct)).Info.Digest);
            Assert.Equal(StoreSamples.Vector(name, 1).Info.Digest, (await store.For($"{_tenants}/a").Vectors.GetAsync(name, Ct)).Info.Digest);
            Assert.Equal(StoreSamples.Map(name, 2, 3, 4).Info.Digest, (await store.For($"{_tenants}/b").Maps.GetAsync(name, Ct)).Info.Digest);
            Assert.Equal(name, Assert.Single((await store.For($"{_tenants}/a").Vectors.ListAsync("", 0, "", Ct)).Items).Name);
        }

        await stores[1].Vectors.DeleteAsync(name, Ct);
        await FailsAsync(ErrorReason.NotFound, name, () => other.For($"{_tenants}/a").Vectors.GetAsync(name, Ct));
        Assert.Equal(name, (await other.For($"{_tenants}/b").Vectors.GetAsync(name, Ct)).Info.Name);
    }

    [Fact]
    public async Task A_worker_takes_jobs_of_all_and_each_stays_its_tenant_s()
    {
        var (a, b) = (Store.For($"{_tenants}/a"), Store.For($"{_tenants}/b"));
        var job = await CreateAsync(a);
        Assert.NotEqual(job.Id, (await CreateAsync(b)).Id); // the same request id is another request
        Assert.Equal(job.Id, (await CreateAsync(a)).Id);
        Assert.Equal((1, 1, 0), (await a.Jobs.Open.CountAsync(Ct), await b.Jobs.Open.CountAsync(Ct), await Store.For($"{_tenants}/c").Jobs.Open.CountAsync(Ct)));
        await FailsAsync(ErrorReason.NotFound, job.Id, () => b.Jobs.GetAsync(job.Id, Ct));
        await FailsAsync(ErrorReason.NotFound, job.Id, () => Store.Jobs.GetAsync(job.Id, Ct));
        Assert.Null(await b.Jobs.Files.ReadAsync(job.Id, JobFiles.Request, Ct));

        await foreach (var (store, taken) in Store.TakeJobsAsync("worker", Ct))
        {
            if (taken.Id == job.Id)
            {
                Assert.Equal($"{_tenants}/a", store.Tenant);
                Assert.True(await a.Jobs.Open.KeepAsync(job.Id, "worker", Ct));
                Assert.False(await b.Jobs.Open.KeepAsync(job.Id, "worker", Ct));
                break;
            }

            await store.Jobs.UpdateAsync(taken.Id, other => new V1.MapJob(other) { State = V1.JobState.Cancelled }, Ct);
        }

        await a.Jobs.UpdateAsync(job.Id, ended => new V1.MapJob(ended) { State = V1.JobState.Cancelled }, Ct);
        Assert.Equal(0, await a.Jobs.Open.CountAsync(Ct));

        Task<V1.MapJob> CreateAsync(TenantStore store) =>
            store.Jobs.CreateAsync(new() { State = V1.JobState.Pending }, new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), Prefix + "request", Ct);
    }

    [Fact]
    public void What_would_lie_among_another_s_records_is_no_tenant()
    {
        foreach (var name in new[] { "a:b", "{a}", "a b", new string('a', 129) })
        {
            Assert.Equal(ErrorReason.InvalidArgument, Assert.Throws<LrtMeshException>(() => Store.For(name)).Reason);
        }
    }
}
