Redoc.init("/api/openapi.json", { disableSearch: true, hideLoading: true }, document.getElementById("viewer"));
