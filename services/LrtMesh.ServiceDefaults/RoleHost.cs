using System.Net;
using System.Net.Sockets;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.ServiceDefaults.Ops;
using LrtMesh.ServiceDefaults.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace LrtMesh.ServiceDefaults;

/// <summary>Work of a role between listening and serving, such as loading models.</summary>
public sealed record StartStep(Func<IServiceProvider, CancellationToken, Task> RunAsync);

/// <summary>A role: a server with gRPC, health per service, reflection, the store, and errors as statuses.</summary>
public sealed class RoleHost : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly string _role;
    private readonly RoleOptions _options;
    private readonly string[] _services;
    private volatile bool _serving;

    private RoleHost(WebApplication app, string role, RoleOptions options, string[] services)
    {
        _app = app;
        _role = role;
        _options = options;
        _services = services;
    }

    /// <summary>Where it listens, as http://HOST:PORT, or https: with TLS; known once it has started.</summary>
    public Uri Address => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    /// <summary>Where metrics and probes are, as http://HOST:PORT; null without a port for them.</summary>
    public Uri? OpsAddress => _options.OpsPort is null ? null : new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Last());

    /// <summary>Begins a role's application.</summary>
    /// <param name="role">Its name.</param>
    /// <param name="options">What it is told.</param>
    public static WebApplicationBuilder CreateBuilder(string role, RoleOptions options)
    {
        options.Access.Check(options.Address);
        // Its content root is watched for settings, with all that is below it: not the folder that it was started in.
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => GrpcPort.Listen(kestrel, options));
        builder.WebHost.ConfigureKestrel(kestrel => OpsPort.Listen(kestrel, options));
        builder.Logging.ClearProviders().AddSimpleConsole(console => console.SingleLine = true).AddConsoleFormatter<JsonLines, ConsoleFormatterOptions>()
            .AddFilter("Microsoft", LogLevel.Warning).AddFilter("Grpc", LogLevel.Warning)
            // Errors of services are told by ErrorInterceptor. What is left are messages that are no protobuf: where no tokens are asked for, anyone could fill the log.
            .AddFilter("Grpc.AspNetCore.Server.ServerCallHandler", LogLevel.None)
            .AddFilter("Microsoft.Hosting.Lifetime", LogLevel.None)
            .AddFilter("Microsoft.Extensions.Hosting", LogLevel.Critical); // a failed start is told by what StartAsync throws
        // Standard output belongs to what the command prints.
        builder.Services.Configure<ConsoleLoggerOptions>(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;
            console.FormatterName = options.LogFormat == LogFormat.Json ? JsonLines.FormatName : ConsoleFormatterNames.Simple;
        });
        builder.Services.Configure<ConsoleLifetimeOptions>(lifetime => lifetime.SuppressStatusMessages = true);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.Drain.Longest);
        builder.Services.AddAccess();
        builder.Services.AddLimits();
        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = options.Limits.MessageBytes;
            grpc.Interceptors.Add<ErrorInterceptor>();
            grpc.Interceptors.Add<GuardInterceptor>();
        });
        builder.Services.AddGrpcReflection();
        builder.Services.AddSingleton<HealthServiceImpl>();
        builder.Services.AddTelemetry(role, options);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, ConnectionMemory>();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton<StoreConnection>();
        return builder;
    }

    /// <summary>Ends the building of a role.</summary>
    /// <param name="app">Its application, with its services mapped.</param>
    /// <param name="role">Its name, as in messages.</param>
    /// <param name="services">Full names of its gRPC services, for health.</param>
    public static RoleHost Create(WebApplication app, string role, params string[] services)
    {
        var host = new RoleHost(app, role, app.Services.GetRequiredService<RoleOptions>(), [.. services, ""]);
        if (host._options.OpsPort is not null)
        {
            OpsPort.Answer(app, () => host._serving);
        }

        Admit(app);
        app.MapGrpcService<HealthServiceImpl>();
        app.MapGrpcReflectionService();
        host.SetHealth(ServingStatus.NotServing);
        app.Lifetime.ApplicationStopping.Register(() => host.SetHealth(ServingStatus.NotServing));
        return host;
    }

    /// <summary>What calls of an application of <see cref="CreateBuilder"/> pass before gRPC reads them: they are measured, and their tokens looked at.</summary>
    public static void Admit(WebApplication app)
    {
        app.Use(RpcMetrics.MeasureAsync);
        app.Use(app.Services.GetRequiredService<TokenGate>().PassAsync);
    }

    /// <summary>
    /// Listens, connects to the store and runs the role's start steps; when this returns it serves. Until then health says
    /// NOT_SERVING and calls are answered with UNAVAILABLE.
    /// </summary>
    /// <exception cref="LrtMeshException">The port is taken, the store does not answer, or a step failed.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        try
        {
            await _app.StartAsync(cancellation);
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            throw CannotListen("another process listens there; stop it", e);
        }
        catch (SocketException e)
        {
            throw CannotListen($"{e.Message}; check that the address is this machine's and that the port may be opened", e);
        }

        var store = _app.Services.GetRequiredService<StoreConnection>();
        await store.ConnectAsync(cancellation);
        foreach (var step in _app.Services.GetServices<StartStep>())
        {
            await step.RunAsync(_app.Services, cancellation);
        }

        SetHealth(ServingStatus.Serving);
        var logger = _app.Services.GetRequiredService<ILogger<RoleHost>>();
        var address = Address;
        RoleLog.Serving(logger, _role, address, store.Durability);
        if (!IPAddress.IsLoopback(_options.Address) && (_options.Access.Tls is null || _options.Access.Tokens is null))
        {
            AccessLog.Insecure(logger, address.Authority, _options.Access.Without);
        }
    }

    /// <summary>Runs a role as a process of its own until it is told to stop.</summary>
    /// <param name="build">Makes the role from the process's settings.</param>
    /// <param name="arguments">The command line.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(Func<RoleSettings, RoleHost> build, string[] arguments)
    {
        try
        {
            await using var host = build(new RoleSettings(arguments, Environment.GetEnvironmentVariables()));
            await host.StartAsync(CancellationToken.None);
            await host._app.WaitForShutdownAsync();
            return 0;
        }
        catch (LrtMeshException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return 1;
        }
    }

    /// <summary>A service of this role's container.</summary>
    public T Service<T>()
        where T : notnull => _app.Services.GetRequiredService<T>();

    /// <summary>Says NOT_SERVING, lets calls end for the drain time, and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        SetHealth(ServingStatus.NotServing);
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private LrtMeshException CannotListen(string why, Exception inner) => new(
        ErrorReason.Unavailable,
        $"the {_role} role cannot listen on {new IPEndPoint(_options.Address, _options.Port)}: {why}, or give the role another port (0 takes a free one)",
        inner);

    private void SetHealth(ServingStatus status)
    {
        _serving = status == ServingStatus.Serving;
        var health = _app.Services.GetRequiredService<HealthServiceImpl>();
        foreach (var service in _services)
        {
            health.SetStatus(service, status);
        }
    }
}
