using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;

return await RoleHost.RunAsync(settings => MappingRole.Build(MappingOptions.From(settings)), args);
