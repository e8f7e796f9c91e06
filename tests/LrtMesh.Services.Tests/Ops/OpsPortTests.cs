using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using LrtMesh.Mapping;
using LrtMesh.Services.Tests.Mesh;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Ops;
using LrtMesh.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LrtMesh.Services.Tests.Ops;

/// <summary>The port for probes and metrics.</summary>
public sealed class OpsPortTests(MeshFixture mesh) : MeshTests(mesh)
{
    private static readonly HttpClient Http = new();

    [Fact]
    public async Task A_role_that_serves_is_alive_and_ready_and_has_metrics()
    {
        await using var role = MappingRole.Build(Options(Mesh.Mesh.Store.Split(' ')[1]));
        await role.StartAsync(Ct);
        Assert.Equal((HttpStatusCode.OK, "SERVING\n"), await GetAsync(role, "/health/ready"));
        Assert.Equal((HttpStatusCode.OK, "alive\n"), await GetAsync(role, "/health/live"));
        var (status, metrics) = await GetAsync(role, "/metrics");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Contains("kestrel_active_connections", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_two_ports_have_nothing_in_common()
    {
        await using var role = MappingRole.Build(Options(Mesh.Mesh.Store.Split(' ')[1]));
        await role.StartAsync(Ct);
        Assert.Equal(HttpStatusCode.NotFound, (await GetAsync(role, "/grpc.health.v1.Health/Check")).Status);
        foreach (var path in new[] { "/metrics", "/health/live", "/health/ready" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(role.Address, path)) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
            using var response = await Http.SendAsync(request, Ct);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }

        Assert.Null(Mesh.Mesh.Mapping!.OpsAddress); // none unless it is asked for
    }

    [Fact]
    public async Task A_role_that_waits_for_its_store_is_alive_and_not_ready()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0); // takes connections and says nothing
        silent.Start();
        await using var role = MappingRole.Build(Options(silent.LocalEndpoint.ToString()!));
        var starting = role.StartAsync(Ct);
        await UntilItListensAsync(role);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await GetAsync(role, "/health/ready")).Status);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(role, "/health/live")).Status);
        Assert.False(starting.IsCompleted);
        await Assert.ThrowsAsync<Core.LrtMeshException>(() => starting);
    }

    [Fact]
    public async Task What_has_stopped_for_good_makes_a_role_not_alive_and_is_named()
    {
        string? fault = null;
        var builder = RoleHost.CreateBuilder("test", Options(Mesh.Mesh.Store.Split(' ')[1]));
        builder.Services.AddSingleton(new LivenessCheck(() => fault));
        await using var role = RoleHost.Create(builder.Build(), "test");
        await role.StartAsync(Ct);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(role, "/health/live")).Status);
        fault = "the thread of model 'x' has stopped";
        Assert.Equal((HttpStatusCode.ServiceUnavailable, fault + "\n"), await GetAsync(role, "/health/live"));
    }

    private static MappingOptions Options(string redis) => new() { Redis = redis, OpsPort = 0, Endpoints = () => [] };

    private static async Task<(HttpStatusCode Status, string Text)> GetAsync(RoleHost role, string path)
    {
        using var response = await Http.GetAsync(new Uri(role.OpsAddress!, path), Ct);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Ct));
    }

    private static async Task UntilItListensAsync(RoleHost role)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(20, Ct))
        {
            try
            {
                await GetAsync(role, "/health/live");
                return;
            }
            catch (Exception e) when (e is HttpRequestException or InvalidOperationException && clock.Elapsed < TimeSpan.FromSeconds(4))
            {
                // Its addresses are not known yet.
            }
        }
    }
}
