using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit.Stores;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LrtMesh.Services.Tests.Store;

/// <summary>A server that asks who calls, and one that speaks TLS; what is secret is in no message.</summary>
public sealed class RedisAccessTests : IAsyncLifetime
{
    private const string Secret = "s3cret,with=signs";

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-redis-").FullName;
    private readonly RecordedLogs _logs = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        var missing = new RedisServerProcess().Missing;
        Assert.SkipWhen(missing is not null, missing ?? "");
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task A_user_with_no_more_rights_than_docs_redis_says_is_enough()
    {
        var page = await File.ReadAllTextAsync(Path.Combine(TestKit.RepositoryRoot.Find(), "docs/redis.md"), Ct);
        var rule = page.Split('\n').Single(line => line.StartsWith("user lrtmesh ", StringComparison.Ordinal)).Split(' ')[1..];
        await using var server = new RedisServerProcess { Settings = ["--user", .. rule.Select(part => part.StartsWith('>') ? $">{Secret}" : part), "--user", "default", "off"] };
        await server.StartAsync();
        var file = Path.Combine(_folder, "password");
        await File.WriteAllTextAsync(file, Secret + "\n", Ct);
        await using var store = await ConnectAsync(new StoreOptions($"{server.Address},user=lrtmesh") { PasswordFile = file });
        Assert.Contains("every acknowledged write is on disk", store.Durability, StringComparison.Ordinal);

        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        await store.Maps.PutAsync(StoreSamples.Map("m", 1, 600, 2000), Ct);
        await store.Maps.PutAsync(StoreSamples.Map("m", 2), Ct);
        Assert.Equal(StoreSamples.Map("m", 1, 600, 2000).Info.Digest, (await store.Maps.GetAsync("m", 1, Ct)).Info.Digest);
        await store.Maps.DeleteAsync("m", Ct);
        await using var other = await ConnectAsync(new StoreOptions($"{server.Address},user=lrtmesh") { PasswordFile = file });
        Assert.Equal(StoreSamples.Vector("v").Elements, (await other.Vectors.GetAsync("v", Ct)).Elements);
        Assert.Single((await other.Vectors.ListAsync("", 0, "", Ct)).Items);
        var job = await store.Jobs.CreateAsync(new V1.MapJob { Map = "m", State = V1.JobState.Pending }, new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "request", Ct);
        await foreach (var (_, taken) in other.TakeJobsAsync("worker", Ct))
        {
            Assert.Equal(job.Id, taken.Id);
            break;
        }

        Assert.True(await other.Jobs.Open.KeepAsync(job.Id, "worker", Ct));
        var watched = store.Jobs.WatchAsync(job.Id, 0, Ct).ToArrayAsync(Ct).AsTask();
        await other.Jobs.UpdateAsync(
            job.Id,
            current =>
            {
                current.State = V1.JobState.Succeeded;
                return current;
            },
            Ct);
        Assert.Equal(V1.JobState.Succeeded, (await watched)[^1].State);
        Assert.DoesNotContain(_logs.Lines, line => line.Contains("s3cret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_user_who_may_not_read_settings_gets_a_store_whose_promises_are_unknown()
    {
        await using var server = new RedisServerProcess { Settings = ["--user", "lrtmesh", "on", ">right", "~*", "&*", "+@all", "-config"] };
        await server.StartAsync();
        await using var store = await ConnectAsync($"{server.Address},user=lrtmesh,password=right");
        Assert.Equal("unknown: the server does not allow CONFIG GET", store.Durability);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
    }

    [Fact]
    public async Task A_wrong_password_is_told_without_telling_it()
    {
        await using var server = new RedisServerProcess { Settings = ["--user", "lrtmesh", "on", ">right", "~*", "&*", "+@all", "--user", "default", "off"] };
        await server.StartAsync();
        var error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync($"{server.Address},user=lrtmesh,password=s3cret"));
        Assert.Equal(ErrorReason.Unavailable, error.Reason);
        Assert.Contains(server.Address, error.Message, StringComparison.Ordinal);
        Assert.Contains("password", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(_logs.Lines, line => line.Contains("s3cret", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("127.0.0.1:1,password=ab,s3cret")] // a comma in it
    [InlineData("127.0.0.1:1,passwort=s3cret")]
    [InlineData("127.0.0.1:1,connectTimeout=s3cret")]
    public async Task A_configuration_that_cannot_be_read_is_not_repeated(string redis)
    {
        var error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync(redis));
        Assert.Equal(ErrorReason.InvalidArgument, error.Reason);
        Assert.Equal("redis", Assert.Single(error.Violations).Field);
        Assert.DoesNotContain("s3cret", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", new StoreOptions(redis).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("redis-password-file")]
    [InlineData("redis-ca")]
    [InlineData("redis-cert")]
    public async Task A_file_that_is_not_there_is_named(string setting)
    {
        var missing = Path.Combine(_folder, "missing");
        var error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync(setting switch
        {
            "redis-password-file" => new StoreOptions("127.0.0.1:1") { PasswordFile = missing },
            "redis-ca" => new StoreOptions("127.0.0.1:1") { CaFile = missing },
            _ => new StoreOptions("127.0.0.1:1") { CertificateFile = missing, KeyFile = missing },
        }));
        Assert.Equal(setting, Assert.Single(error.Violations).Field);
        Assert.Contains(missing, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Over_TLS_both_sides_show_certificates_of_an_authority_that_is_given()
    {
        using var authority = new TestAuthority(_folder);
        using var stranger = new TestAuthority(_folder, "stranger");
        var (certificate, client) = (authority.Issue("redis"), authority.Issue("role", TestAuthority.ForClients));
        var port = StoreServer.FreePort();
        await using var server = new RedisServerProcess
        {
            Settings =
            [
                "--tls-port", $"{port}", "--tls-cert-file", certificate.Certificate, "--tls-key-file", certificate.Key,
                "--tls-ca-cert-file", authority.File, "--tls-auth-clients", "yes",
            ],
        };
        await server.StartAsync();
        var options = new StoreOptions($"127.0.0.1:{port}") { CaFile = authority.File, CertificateFile = client.Certificate, KeyFile = client.Key };
        await using (var store = await ConnectAsync(options))
        {
            await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
            Assert.Equal(StoreSamples.Vector("v").Elements, (await store.Vectors.GetAsync("v", Ct)).Elements);
        }

        foreach (var wrong in new[] { options with { CaFile = stranger.File }, options with { CaFile = null }, options with { CertificateFile = null, KeyFile = null }, $"127.0.0.1:{port}" })
        {
            var error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync(wrong));
            Assert.Equal(ErrorReason.Unavailable, error.Reason);
            Assert.Contains("TLS", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_role_s_settings_say_how_its_store_is_reached()
    {
        var options = ModelRoleOptions.From(new RoleSettings(
            ["--models", "a=/a", "--redis", "redis:6380,user=u", "--redis-password-file", "/p", "--redis-ca", "/ca", "--redis-cert", "/c", "--redis-key", "/k", "--redis-wait-replicas", "2", "--redis-keep-versions", "3600"], new Dictionary<string, string>()));
        Assert.Equal(new StoreOptions("redis:6380,user=u") { PasswordFile = "/p", CaFile = "/ca", CertificateFile = "/c", KeyFile = "/k", WaitReplicas = 2, KeepVersions = TimeSpan.FromHours(1) }, options.Redis);
        var error = Assert.Throws<LrtMeshException>(() => ModelRoleOptions.From(new RoleSettings(["--models", "a=/a", "--redis", "redis:6380", "--redis-cert", "/c", "--redis-wait-replicas", "-1", "--redis-keep-versions", "a day"], new Dictionary<string, string>())));
        Assert.Equal(["--redis-wait-replicas", "--redis-key", "--redis-keep-versions"], error.Violations.Select(violation => violation.Field));
    }

    private async Task<MeshStore> ConnectAsync(StoreOptions options)
    {
        using var factory = LoggerFactory.Create(logging => logging.AddProvider(_logs).SetMinimumLevel(LogLevel.Trace));
        return await MeshStore.ConnectAsync(options, factory.CreateLogger<MeshStore>(), Ct);
    }
}
