using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;

return await RoleHost.RunAsync(settings => ExtractionRole.Build(ModelRoleOptions.From(settings)), args);
