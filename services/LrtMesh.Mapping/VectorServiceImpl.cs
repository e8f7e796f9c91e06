using Grpc.Core;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>Vectors in the store.</summary>
internal sealed class VectorServiceImpl(StoreConnection connection) : VectorService.VectorServiceBase
{
    /// <inheritdoc/>
    public override async Task<PutVectorResponse> PutVector(PutVectorRequest request, ServerCallContext context)
    {
        var info = request.Vector ?? new Vector();
        var method = info.Provenance?.Method ?? VectorMethod.Unspecified;
        float[] elements = [];
        var check = new RequestCheck();
        check.Name(info.Name, "vector.name");
        check.Require(info.Model.Length > 0, "vector.model", "must name the model whose residual stream it lives in");
        if (check.Known(method, "vector.provenance.method"))
        {
            check.Require(method != VectorMethod.Unspecified, "vector.provenance.method", "must be said; VECTOR_METHOD_GIVEN for a vector of a client's own");
        }

        check.Known(info.Provenance?.Position ?? LearnPosition.Unspecified, "vector.provenance.position");
        check.Require(info.Provenance is not { HasAuc: true, Auc: not (>= 0 and <= 1) }, "vector.provenance.auc", "must be 0 to 1, or unset");
        check.Gather(() => elements = TensorCodec.Decode(request.Elements, "elements", TensorCodec.MaximumInlineBytes / sizeof(float)));
        if (request.Elements?.Header is { } header)
        {
            check.Require(header.Dtype == Dtype.Float32, "elements.header.dtype", $"must be DTYPE_FLOAT32, not {header.Dtype}");
            check.Require(header.Shape.Count == 1, "elements.header.shape", $"must be [width], not {header.Shape.Count} dimensions");
            check.Require(
                info.Width == 0 || header.Shape.Count != 1 || header.Shape[0] == info.Width, "vector.width", $"says {info.Width}, and there are {elements.Length} elements");
        }

        check.Throw();
        var stored = await connection.Of(context).Vectors.PutAsync(SteeringVector.Create(info, elements), context.CancellationToken);
        return new PutVectorResponse { Vector = stored.Info };
    }

    /// <inheritdoc/>
    public override async Task<GetVectorResponse> GetVector(GetVectorRequest request, ServerCallContext context)
    {
        var vector = await connection.Of(context).Vectors.GetAsync(request.Name, request.Version, context.CancellationToken);
        return new GetVectorResponse { Vector = vector.Info, Elements = TensorCodec.Encode(vector.Elements, vector.Elements.Length) };
    }

    /// <inheritdoc/>
    public override async Task<ListVectorsResponse> ListVectors(ListVectorsRequest request, ServerCallContext context)
    {
        var page = await connection.Of(context).Vectors.PageAsync(request.Prefix, request.PageSize, request.PageToken, request.VersionsOf, context.CancellationToken);
        return new ListVectorsResponse { Vectors = { page.Items }, NextPageToken = page.NextToken };
    }

    /// <inheritdoc/>
    public override async Task<DeleteVectorResponse> DeleteVector(DeleteVectorRequest request, ServerCallContext context)
    {
        await connection.Of(context).Vectors.DeleteAsync(request.Name, context.CancellationToken);
        return new DeleteVectorResponse();
    }
}
