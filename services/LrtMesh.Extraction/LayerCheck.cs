using LrtMesh.Core.Models;
using LrtMesh.ServiceDefaults;

namespace LrtMesh.Extraction;

internal static class LayerCheck
{
    /// <summary>Notes layers that the model does not have or that come twice, and an empty list.</summary>
    public static void Layers(this RequestCheck check, IReadOnlyList<uint> layers, string field, LoadedModel model)
    {
        check.Require(layers.Count > 0, field, $"must name at least one layer, 0 to {model.Description.Layers - 1}");
        for (var i = 0; i < layers.Count; i++)
        {
            check.RequireRange(
                layers[i] < model.Description.Layers, $"{field}[{i}]", $"must be 0 to {model.Description.Layers - 1} for {model.Name}, not {layers[i]}");
        }

        check.Require(layers.Distinct().Count() == layers.Count, field, "must name each layer once");
    }
}
