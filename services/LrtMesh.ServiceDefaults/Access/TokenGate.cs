using Grpc.AspNetCore.Server;
using Grpc.Core;
using LrtMesh.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>
/// Looks at a call's token before anything else of the call is read. gRPC takes the whole message of a unary call into memory before an interceptor sees the call: whoever reaches
/// the port could have the role hold as many messages as there may be calls.
/// </summary>
internal sealed class TokenGate(TokenCheck tokens, ILogger<TokenGate> logger)
{
    /// <summary>Lets a call pass, with its <see cref="Caller"/> among its features; or answers it.</summary>
    public async Task PassAsync(HttpContext context, RequestDelegate next)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>()?.Method.FullName is { } method && RpcRule.Of(method) is not { Open: true })
        {
            try
            {
                context.Features.Set(await tokens.CallerAsync(context.Request.Headers.Authorization));
            }
            catch (LrtMeshException refused)
            {
                RoleLog.Refused(logger, method, refused.Reason, "");
                Answer(context.Response, refused);
                return;
            }
        }

        await next(context);
    }

    /// <summary>An answer of headers alone ("Trailers-Only" in gRPC's protocol over HTTP/2), as gRPC makes it of the same error.</summary>
    private static void Answer(HttpResponse response, LrtMeshException error)
    {
        var refusal = ErrorStatus.Of(error).ToRpcException();
        response.ContentType = "application/grpc";
        response.Headers["grpc-status"] = $"{(int)refusal.StatusCode}";
        response.Headers["grpc-message"] = Uri.EscapeDataString(refusal.Status.Detail);
        foreach (var entry in refusal.Trailers)
        {
            response.Headers[entry.Key] = entry.IsBinary ? Convert.ToBase64String(entry.ValueBytes) : entry.Value;
        }
    }
}
