// Ours: points Swagger UI at the description of this very server.
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "/api/v1/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false, // a token is forgotten with the page
    validatorUrl: null, // asks nobody else
  });
});
